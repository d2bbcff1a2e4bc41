"""Train small GANs and VAEs, compare them, ship the winner to a phone.

    from keras_ganvae import TrainConfig, export_run, load_run, train

    run = train(TrainConfig(arch="cvae", dataset="mnist"), out="runs/cvae")
    model = load_run("runs/cvae").model()
    export_run(run, "bundle")

`import keras_ganvae` is fast: it imports nothing, not even `__future__`: Ctrl-C then would print a
traceback. The functions import TensorFlow.
"""

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from keras_ganvae.config import TrainConfig
    from keras_ganvae.distributed.cluster import Cluster
    from keras_ganvae.runs.run import Run

__all__ = ["TrainConfig", "export_run", "load_run", "train"]


def __getattr__(name: str) -> "Any":
    if name != "TrainConfig":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from keras_ganvae.config import TrainConfig

    return TrainConfig


def train(
    config: "TrainConfig",
    out: "str | Path | None" = None,
    *,
    overwrite: bool = False,
    checkpoint_minutes: float = 5.0,
    cluster: "Cluster | None" = None,
) -> "Run | None":
    """Train one model and write a run folder; see `keras_ganvae.training.train.train`."""
    from keras_ganvae import runtime

    runtime.start()
    from keras_ganvae.training.train import train

    return train(
        config,
        out,
        overwrite=overwrite,
        checkpoint_minutes=checkpoint_minutes,
        cluster=cluster,
    )


def load_run(path: "str | Path") -> "Run":
    """Open a run folder; see `keras_ganvae.runs.run.Run`."""
    from keras_ganvae import runtime

    runtime.start()
    from keras_ganvae.runs.run import Run

    return Run.open(path)


def export_run(
    run: "Run",
    out: "str | Path",
    *,
    formats: "Sequence[str] | None" = None,
    prior: str | None = None,
    sampler_weights: str = "float32",
    overwrite: bool = False,
    signer: "Any" = None,
) -> "Path":
    """Export a finished run as a bundle; see `keras_ganvae.bundle.build.export`."""
    from keras_ganvae import runtime

    runtime.start()
    from keras_ganvae.bundle.build import export

    return export(
        run,
        out,
        formats=formats,
        prior=prior,
        sampler_weights=sampler_weights,
        overwrite=overwrite,
        signer=signer,
    )
