"""Train every architecture for a few steps under one strategy; run by test_strategies.py.

    python equality.py FOLDER STRATEGY [WORKERS INDEX]

Writes FOLDER/STRATEGY-INDEX.npz: for each architecture the gradient of the first step, the
logs of each epoch, and the final weights. Mirrored replicas also write `dropout seeds`, a row
for each layer; workers also write `scalar logs`, Keras's error for a step that returns scalars.
"""

import dataclasses
import sys
from pathlib import Path

from keras_ganvae import architectures, runtime
from keras_ganvae.config import TrainConfig

# 43 images in batches of 8: the last batch has 3, which two replicas share unequally.
SETTINGS = {"dataset": "synthetic", "limit": 43, "batch_size": 8, "epochs": 2, "latent_dim": 5}
# In batches of 7 the last has 1 image, so one of two replicas has none. With SGD: Adam divides by
# the size of the gradient, which for so few images is as small as rounding errors.
LAST_ALONE = {"batch_size": 7, "epochs": 1, "optimizer": "sgd", "learning_rate": 1e-3}


def main(folder, strategy, workers=None, index="0"):
    runtime.start()
    import numpy as np

    from keras_ganvae.distributed.cluster import Cluster
    from keras_ganvae.training.setup import prepare

    replicas = 2 if strategy == "mirrored" else None
    config = TrainConfig(arch="vae", strategy=strategy, replicas=replicas, **SETTINGS)
    job = prepare(config, Cluster.of(workers, workers and int(index)))
    found = {}
    for arch in architectures.names():
        job = dataclasses.replace(job, config=settings_of(arch))
        found |= {f"{arch} {name}": value for name, value in trained(job).items()}
    for arch in ("cvae", "dcgan"):
        job = dataclasses.replace(job, config=settings_of(arch, **LAST_ALONE))
        found |= {f"{arch}, 1 left: {name}": value for name, value in trained(job).items()}
    if strategy == "mirrored":
        found["dropout seeds"] = dropout_seeds(job)
    if strategy == "multi-worker":
        found["scalar logs"] = error_of_scalar_logs(job)
    np.savez(Path(folder) / f"{strategy}-{index}.npz", **found)


def settings_of(arch, **changes):
    # Without dropout, as each replica drops different units.
    gan = architectures.kind_of(arch) == "adversarial"
    config = TrainConfig(arch=arch, schedule="constant", dropout=False if gan else None, **SETTINGS)
    return architectures.resolve(dataclasses.replace(config, **changes))


def trained(job):
    found = {"gradient": first_gradient(job)}
    model = built(job)
    for epoch, row in enumerate(fit_epochs(model, job)):
        found |= {f"{name} of epoch {epoch}": value for name, value in row.items()}
    return found | {f"weight {i}": value for i, value in enumerate(model.get_weights())}


def built(job):
    from keras_ganvae.training.setup import build_model

    return build_model(job.config, job.dataset, job.placement)


def fit_epochs(model, job):
    """The logs of each epoch, including validation."""
    import keras

    from keras_ganvae.data.position import Position
    from keras_ganvae.training.train import fit

    rows = []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: rows.append(dict(logs)))
    fit(model, job, Position(), [note])
    return rows


def first_gradient(job):
    """The gradient with respect to all weights, from a step of SGD at learning rate 1."""
    import numpy as np

    descent = dataclasses.replace(job.config, optimizer="sgd", learning_rate=1.0)
    model = built(dataclasses.replace(job, config=descent))
    weights = [weight for network in model.networks for weight in network.trainable_weights]
    before = [weight.numpy() for weight in weights]
    model.fit(distributed_batches(job), steps_per_epoch=1, shuffle=False, verbose=0)
    steps = [old - weight.numpy() for old, weight in zip(before, weights, strict=True)]
    return np.concatenate([step.ravel() for step in steps])


def distributed_batches(job):
    """Training batches one at a time, without the loop of `train`."""
    import functools

    from keras_ganvae.data.pipeline import training_batches
    from keras_ganvae.data.position import Position

    images, config = job.dataset.train.images, job.config
    return job.placement.distributed(
        functools.partial(training_batches, images, config.batch_size, config.seed, Position())
    )


def dropout_seeds(job):
    """The seed of each dropout layer of a GAN (rows) on each replica (columns)."""
    import keras

    from keras_ganvae.distributed.keras_patches import decorrelate_dropout

    gan = architectures.resolve(TrainConfig(arch="gan", **SETTINGS))
    model = built(dataclasses.replace(job, config=gan))
    decorrelate_dropout(model)
    layers = [x for x in model.discriminator.layers if isinstance(x, keras.layers.Dropout)]
    return [[int(seed[0]) for seed in x.seed_generator.state.value.values] for x in layers]


def error_of_scalar_logs(job) -> str:
    import keras
    import tensorflow as tf

    class Plain(keras.Model):
        def _maybe_symbolic_build(self, iterator=None, data_batch=None):
            """Skip Keras's own build, which fails for another reason."""

        def train_step(self, batch):
            return {"loss": tf.reduce_mean(batch[0])}

    with job.placement.scope():
        model = Plain()
        model.built = True
        model.compile(optimizer=None)
    try:
        model.fit(distributed_batches(job), steps_per_epoch=1, verbose=0)
    except (ValueError, tf.errors.OpError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
