"""Train small GANs and VAEs, compare them honestly, ship the winner to a phone.

    from keras_ganvae import TrainConfig, export_run, load_run, train

    run = train(TrainConfig(arch="cvae", dataset="mnist"), out="runs/cvae")
    model = load_run("runs/cvae").model()
    export_run(run, "bundle")

Importing this package imports no TensorFlow; that happens when work starts.
"""

from keras_ganvae import runtime
from keras_ganvae.config import TrainConfig

__all__ = ["TrainConfig", "export_run", "load_run", "train"]


def train(config: TrainConfig, out=None, **options):
    """Train one model; see `keras_ganvae.training.train.train`."""
    runtime.start()
    from keras_ganvae.training import train as recipe

    return recipe.train(config, out, **options)


def load_run(path):
    """Open a run folder; see `keras_ganvae.runs.run.Run`."""
    runtime.start()
    from keras_ganvae.runs.run import Run

    return Run.open(path)


def export_run(run, out, **options):
    """Write the bundle of a finished run; see `keras_ganvae.bundle.build.export`."""
    runtime.start()
    from keras_ganvae.bundle.build import export

    return export(run, out, **options)
