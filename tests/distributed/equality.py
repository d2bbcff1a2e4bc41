"""Trains every architecture a few steps under one strategy; a process of test_strategies.py.

    python equality.py FOLDER STRATEGY [WORKERS INDEX]

Writes FOLDER/STRATEGY-INDEX.npz: for each architecture the gradient of the first step, the
values of each epoch, and the weights at the end. Mirrored replicas also write `dropout seeds`, a
row for each layer, and workers `scalar logs`: what Keras says of a step that returns them.
"""

import dataclasses
import sys
from pathlib import Path

from keras_ganvae import architectures, runtime
from keras_ganvae.config import TrainConfig

# 43 images in batches of 8: the last one holds 3, unequal shares for two replicas.
SETTINGS = {"dataset": "synthetic", "limit": 43, "batch_size": 8, "epochs": 2, "latent_dim": 5}
# In batches of 7 the last holds 1, and one of two replicas has none of it. By plain descent:
# Adam divides by the gradient's own size, and so few images make rounding as large as that.
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
    # Each replica drops other units; without dropout the steps are the same.
    gan = architectures.load(arch).KIND == "adversarial"
    config = TrainConfig(arch=arch, schedule="constant", dropout=False if gan else None, **SETTINGS)
    return architectures.resolve(dataclasses.replace(config, **changes))


def trained(job):
    found = {"gradient": first_gradient(job)}
    model = built(job)
    for epoch, row in enumerate(fit_epochs(model, job)):
        found |= {f"{name} of epoch {epoch}": value for name, value in row.items()}
    return found | {f"weight {i}": value for i, value in enumerate(model.get_weights())}


def built(job):
    from keras_ganvae.training.setup import build

    return build(job.config, job.dataset, job.placement)


def fit_epochs(model, job):
    """The values of each epoch, validation's among them."""
    import keras

    from keras_ganvae.data.pipeline import Position
    from keras_ganvae.training.train import fit

    rows = []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: rows.append(dict(logs)))
    fit(model, job, Position(), [note])
    return rows


def first_gradient(job):
    """Of all weights, from one step of gradient descent at rate 1."""
    import numpy as np

    from keras_ganvae.data.pipeline import Position
    from keras_ganvae.training.setup import training_data

    descent = dataclasses.replace(job.config, optimizer="sgd", learning_rate=1.0)
    model = built(dataclasses.replace(job, config=descent))
    weights = [weight for network in model.networks for weight in network.trainable_weights]
    before = [weight.numpy() for weight in weights]
    batches = training_data(job, Position())
    model.fit(batches, steps_per_epoch=1, shuffle=False, verbose=0)
    steps = [old - weight.numpy() for old, weight in zip(before, weights, strict=True)]
    return np.concatenate([step.ravel() for step in steps])


def dropout_seeds(job):
    """Of each replica (columns), of each dropout layer of a GAN (rows)."""
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

    from keras_ganvae.data.pipeline import Position
    from keras_ganvae.training.setup import training_data

    class Plain(keras.Model):
        def _maybe_symbolic_build(self, iterator=None, data_batch=None):
            """Not what is asked about."""

        def train_step(self, batch):
            return {"loss": tf.reduce_mean(batch[0])}

    with job.placement.scope():
        model = Plain()
        model.built = True
        model.compile(optimizer=None)
    try:
        model.fit(training_data(job, Position()), steps_per_epoch=1, verbose=0)
    except (ValueError, tf.errors.OpError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
