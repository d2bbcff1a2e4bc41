"""Trains every architecture a few steps under one strategy; run by test_strategies.py.

    python worker.py FOLDER STRATEGY [WORKERS INDEX]

Writes what it found to FOLDER/STRATEGY-INDEX.npz: for each architecture the gradient of
the first step, the losses of each epoch, and the weights at the end.
"""

import sys
from pathlib import Path

from keras_ganvae import architectures, runtime
from keras_ganvae.config import TrainConfig

# 43 images in batches of 8: the last one holds 3, an unequal share for each of two replicas.
SETTINGS = {"dataset": "synthetic", "limit": 43, "batch_size": 8, "epochs": 2, "latent_dim": 5}


def main(folder, strategy, workers=None, index="0"):
    runtime.start()
    import numpy as np

    from keras_ganvae.training import cluster, placement, recipe

    with_gpus_worth = {"replicas": 2} if strategy == "mirrored" else {}
    config = TrainConfig(arch="vae", strategy=strategy, **with_gpus_worth, **SETTINGS)
    group = cluster.from_flags(workers, workers and int(index))
    job = recipe.prepare(config, group)
    found = {}
    for arch in architectures.names():
        found |= {f"{arch} {name}": value for name, value in trained(arch, job).items()}
    np.savez(Path(folder) / f"{strategy}-{index}.npz", **found)


def trained(arch, job):
    import dataclasses

    from keras_ganvae.training import recipe

    gan = architectures.load(arch).KIND == "adversarial"
    given = dataclasses.replace(
        TrainConfig(arch=arch, **SETTINGS),
        schedule="constant",
        **({"dropout": False} if gan else {}),
    )
    config = architectures.resolve(given)
    found = {"gradient": first_gradient(config, job)}
    model = recipe.build(config, job.dataset, job.placement)
    history = Losses()
    recipe._fit(model, dataclasses.replace(job, config=config), recipe.Position(), [history])
    found |= {f"epoch {i} {k}": v for i, row in enumerate(history.rows) for k, v in row.items()}
    return found | {f"weight {i}": value for i, value in enumerate(model.get_weights())}


def first_gradient(config, job):
    """Of all weights, from one step of gradient descent at rate 1."""
    import dataclasses

    import numpy as np

    from keras_ganvae.training import recipe

    descent = dataclasses.replace(config, optimizer="sgd", learning_rate=1.0)
    model = recipe.build(descent, job.dataset, job.placement)
    weights = [weight for network in model.networks for weight in network.trainable_weights]
    before = [np.array(weight) for weight in weights]
    model.fit(
        job.placement.distributed(
            lambda replicas: recipe.training_batches(
                job.dataset.train.images, config.batch_size, 0, recipe.Position(), replicas
            )
        ),
        steps_per_epoch=1,
        verbose=0,
    )
    steps = [b - np.array(weight) for b, weight in zip(before, weights, strict=True)]
    return np.concatenate([step.ravel() for step in steps])


class Losses:
    """Made a Keras callback late: TensorFlow is imported by `main`."""

    def __new__(cls):
        import keras

        class Rows(keras.callbacks.Callback):
            def __init__(self):
                super().__init__()
                self.rows = []

            def on_epoch_end(self, epoch, logs=None):
                self.rows.append({name: float(value) for name, value in logs.items()})

        return Rows()


if __name__ == "__main__":
    main(*sys.argv[1:])
