"""What `train --dry-run` says: the run as it would be, without a folder or a step."""

from keras_ganvae.data.pipeline import steps_per_epoch
from keras_ganvae.training import recipe
from keras_ganvae.training.cost import multiply_adds
from keras_ganvae.training.run import dataset_record


def plan(config) -> dict:
    """Sections of names and values: settings, data, networks and cost.

    Raises:
        InputError: whatever `train` would refuse.
    """
    job = recipe.prepare(config)
    config, dataset = job.config, job.dataset
    model = recipe.build(config, dataset, job.placement)
    steps = steps_per_epoch(len(dataset.train), config.batch_size)
    cost = multiply_adds(model, dataset.image_shape)
    return {
        "settings": {k: v for k, v in config.to_dict().items() if v is not None},
        "data": dataset_record(dataset),
        "networks": {
            network.name: f"{network.count_params():,} parameters,"
            f" {_shape(network.input_shape)} -> {_shape(network.output_shape)}"
            for network in model.networks
        },
        "cost": {
            "steps per epoch": steps,
            "steps": steps * config.epochs,
            "multiply-adds per image": f"{cost / 1e6:.2f} million",
        },
    }


def _shape(shape):
    return "x".join(str(side) for side in shape[1:])
