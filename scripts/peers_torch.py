"""PyTorch's side of `benchmark_peers`: the same networks and training steps, timed on request.

A process of its own, in an environment that has PyTorch and NumPy only. The networks are built
from a description of the Keras ones, so that there is nothing to keep equal by hand.
"""

import json
import logging
import math
import os
from pathlib import Path

import numpy as np
import torch
from peers_process import rate, serve
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

WARM_UP = 3  # steps
COUNTED = 8  # images, of which two get R1
FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Affine(nn.Module):
    """Keras's `Rescaling`."""

    def __init__(self, scale, offset):
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x):
        return self.scale * x + self.offset


class Flatten(nn.Module):
    """(B, C, H, W) -> (B, H W C): with the channels last in memory, no copy."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


class Unflatten(nn.Module):
    """(B, H W C) -> (B, C, H, W), with the channels last in memory."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.unflatten(1, self.shape).permute(0, 3, 1, 2)


class ChannelsFirstUnflatten(nn.Module):
    """(B, C H W) -> (B, C, H, W)."""

    def __init__(self, shape):
        super().__init__()
        height, width, channels = shape
        self.shape = (channels, height, width)

    def forward(self, x):
        return x.unflatten(1, self.shape)


class Network(nn.Module):
    """A network as Keras describes it.

    A transposed convolution at stride 2 that keeps the "same" size drops the last row and column
    in TensorFlow and the first with PyTorch's `output_padding`. So a network that has one is
    built mirrored, which costs nothing, where dropping them would cost a copy.

    Args:
        layers: from `peers_keras.describe_layers`.
        memory_format: a key of `FORMATS`.
    """

    def __init__(self, layers, memory_format):
        super().__init__()
        self.is_mirrored = any(
            each["type"] == "Conv2DTranspose" and each["strides"] == 2 for each in layers
        )
        self.is_channels_last = memory_format == "channels_last"
        self.parts = nn.ModuleList()
        for layer in layers:
            self.parts.append(BUILDERS[layer["type"]](layer, self.is_channels_last))
            if layer.get("activation", "linear") != "linear":
                self.parts.append(ACTIVATIONS[layer["activation"]]())
        self.to(memory_format=FORMATS[memory_format])

    def forward(self, x, training):
        """The output of the network, an image mirrored if the network is.

        Args:
            training: whether dropout and the statistics of the batch are used. If not, an image
                is mirrored back.
        """
        for part in self.parts:
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                x = functional.batch_norm(
                    x,
                    part.running_mean,
                    part.running_var,
                    part.weight,
                    part.bias,
                    training,
                    part.momentum,
                    part.eps,
                )
            elif isinstance(part, nn.Dropout):
                x = functional.dropout(x, part.p, training)
            else:
                x = part(x)
        return x.flip(2, 3) if self.is_mirrored and not training else x

    def weights(self):
        """Parameters and moving statistics, in Keras's order."""
        found = []
        for part in self.parts:
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                found += [part.weight, part.bias, part.running_mean, part.running_var]
            else:
                found += list(part.parameters())
        return found

    @torch.no_grad()
    def load(self, layers, arrays):
        """Set the weights to those of the Keras network, an array for each."""
        converted = convert(layers, arrays, self.is_mirrored, self.is_channels_last)
        for weight, array in zip(self.weights(), converted, strict=True):
            if tuple(weight.shape) != array.shape:
                raise ValueError(f"{tuple(weight.shape)} in PyTorch, {array.shape} in Keras")
            weight.copy_(torch.from_numpy(np.ascontiguousarray(array)))


def _batch_norm(layer, _):
    make = nn.BatchNorm2d if len(layer["input"]) == 3 else nn.BatchNorm1d
    return make(layer["input"][-1], eps=layer["epsilon"], momentum=1 - layer["momentum"])


def _convolution(layer, _):
    size, stride = layer["kernel_size"], layer["strides"]
    # TensorFlow pads size - stride pixels, or one more on the right for an odd number.
    if layer["padding"] == "same" and (size - stride) % 2:
        raise ValueError(f"uneven padding: kernel {size}, stride {stride}")
    padding = (size - stride) // 2 if layer["padding"] == "same" else 0
    channels = layer["input"][-1], layer["filters"]
    return nn.Conv2d(*channels, size, stride, padding, bias=layer["use_bias"])


def _transposed(layer, _):
    size, stride = layer["kernel_size"], layer["strides"]
    if (size, layer["padding"]) != (3, "same") or stride not in (1, 2):
        raise ValueError("a transposed convolution must be 3x3, of stride 1 or 2, and padded")
    return nn.ConvTranspose2d(
        layer["input"][-1],
        layer["filters"],
        size,
        stride,
        padding=1,
        output_padding=stride - 1,
        bias=layer["use_bias"],
    )


def _reshape(layer, is_channels_last):
    return (Unflatten if is_channels_last else ChannelsFirstUnflatten)(layer["target_shape"])


BUILDERS = {
    "BatchNormalization": _batch_norm,
    "Conv2D": _convolution,
    "Conv2DTranspose": _transposed,
    "Dense": lambda layer, _: nn.Linear(layer["input"][-1], layer["units"], bias=layer["use_bias"]),
    "DepthToSpace": lambda layer, _: nn.PixelShuffle(2),
    "Dropout": lambda layer, _: nn.Dropout(layer["rate"]),
    "Flatten": lambda layer, is_channels_last: Flatten() if is_channels_last else nn.Flatten(),
    "LeakyReLU": lambda layer, _: nn.LeakyReLU(layer["negative_slope"]),
    "ReLU": lambda layer, _: nn.ReLU(),
    "Rescaling": lambda layer, _: Affine(layer["scale"], layer["offset"]),
    "Reshape": _reshape,
}


def convert(layers, arrays, is_mirrored, is_channels_last):
    """The weights of a Keras network as PyTorch lays them out.

    Args:
        layers: from `peers_keras.describe_layers`; "weights" is the number of a layer's arrays.
        arrays: of all layers, in order.
        is_mirrored: whether all images inside of the network are mirrored in both axes.
        is_channels_last: whether images are flattened with the channels last.
    """
    arrays, converted = list(arrays), []
    for i, layer in enumerate(layers):
        own, arrays = arrays[: layer["weights"]], arrays[layer["weights"] :]
        outputs = _order_of_outputs(layers[i:], is_mirrored, is_channels_last)
        if outputs is not None:
            own = [each[..., outputs] for each in own]
        before = layers[i - 1] if i else {"type": None}
        if layer["type"] == "Dense" and before["type"] == "Flatten":
            own[0] = own[0][_flat_order(before["input"], is_mirrored, is_channels_last)]
        converted += [_laid_out(layer, each, is_mirrored) for each in own]
    return converted


def _laid_out(layer, array, is_mirrored):
    if array.ndim == 2:
        return array.T
    if array.ndim < 4:
        return array
    array = array[::-1, ::-1] if is_mirrored else array
    # Keras's kernels are (H, W, in, out), and (H, W, out, in) if transposed.
    return array.transpose(3, 2, 0, 1)


def _order_of_outputs(layers, is_mirrored, is_channels_last):
    """The order of the first layer's outputs, if a layer after it reads them in another one."""
    for i, layer in enumerate(layers):
        if i and layer["type"] in ("Conv2D", "Conv2DTranspose", "Dense", "Flatten"):
            return None
        if layer["type"] == "DepthToSpace":
            # Depth is (2, 2, C) in TensorFlow, (C, 2, 2) in PyTorch.
            depth = layer["input"][-1]
            order = np.arange(depth).reshape(2, 2, depth // 4)
            order = order[::-1, ::-1] if is_mirrored else order
            return order.transpose(2, 0, 1).ravel()
        if layer["type"] == "Reshape":
            return _flat_order(layer["target_shape"], is_mirrored, is_channels_last)
    return None


def _flat_order(shape, is_mirrored, is_channels_last):
    order = np.arange(math.prod(shape)).reshape(shape)
    order = order[::-1, ::-1] if is_mirrored else order
    return (order if is_channels_last else order.transpose(2, 0, 1)).ravel()


class Model:
    """What the two kinds of model share.

    Args:
        first, second: `Network`s.
        config: the settings, as `peers_keras` writes them.
    """

    def __init__(self, first, second, config):
        self.first, self.second, self.config = first, second, config

    def networks(self):
        return self.first, self.second

    def noise(self, images):
        """N(0, 1), (B, J)."""
        return torch.randn(len(images), self.config["latent_dim"])


class Adversarial(Model):
    """The losses of a GAN, see `keras_ganvae.models.AdversarialNetwork`."""

    logged = 5

    def parameters(self):
        """The weights that each optimizer updates."""
        return [list(network.parameters()) for network in self.networks()]

    def outputs(self, images, latents):
        """G(z) and D(x) in inference mode."""
        return self.first(latents, False), self.second(images, False)

    def losses(self, images, latents, training):
        """The loss of each optimizer, and the logged means."""
        fake = self.first(latents, training)
        real_logits = self.second(images, training)
        fake_logits = self.second(fake, training)
        generator_loss = functional.softplus(-fake_logits).mean()
        discriminator_loss = functional.softplus(-real_logits).mean()
        discriminator_loss = discriminator_loss + functional.softplus(fake_logits).mean()
        total = discriminator_loss
        if self.config["gradient_penalty"]:
            total = total + self.penalty(images[:: self.config["penalty_every"]])
        with torch.no_grad():
            real = (real_logits > 0).float().mean()
            fake = (fake_logits <= 0).float().mean()
            logs = [generator_loss, discriminator_loss, real, fake, (real + fake) / 2]
        return [generator_loss, total], logs

    def penalty(self, real):
        """R1."""
        real = real.detach().requires_grad_()
        logits = self.second(real, False).sum()
        (gradients,) = torch.autograd.grad(logits, real, create_graph=True)
        return 0.5 * self.config["gradient_penalty"] * gradients.square().sum() / len(real)

    def averaged(self):
        """The weights of which there is an EMA."""
        return self.first.weights() if self.config["average_decay"] else []


class Variational(Model):
    """The loss of a VAE, see `keras_ganvae.models.VariationalAutoencoder`."""

    logged = 3

    def parameters(self):
        """The weights that each optimizer updates."""
        return [[*self.first.parameters(), *self.second.parameters()]]

    def outputs(self, images, latents):
        """Those of the encoder and the decoder in inference mode."""
        return self.first(images, False), self.second(latents, False)

    def losses(self, images, noise, training):
        """The loss of each optimizer, and the logged means."""
        x = self.binarized(images)
        mean, log_var = self.first(x, training).chunk(2, dim=1)
        latents = mean + torch.exp(0.5 * log_var) * noise
        logits = self.second(latents, training)
        count = len(images)
        cross_entropy = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        cross_entropy = cross_entropy / count
        kl = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum() / count
        loss = self.config["beta"] * kl + cross_entropy
        return [loss], [loss, cross_entropy, kl]

    def binarized(self, images):
        if self.config["binarize"] == "none":
            return images
        is_random = self.config["binarize"] == "stochastic"
        return (images > (torch.rand_like(images) if is_random else 0.5)).float()

    def averaged(self):
        """The weights of which there is an EMA."""
        return []


MODELS = {"adversarial": Adversarial, "variational": Variational}


class Trainer:
    """A training step: batch, noise, losses, gradients, optimizers, EMA, logged means.

    Args:
        model: one of the two above.
        config: the settings, as `peers_keras` sends them.
        images: uint8 (N, C, H, W).
        memory_format: a key of `FORMATS`.
        fused: whether the optimizers are `fused`.
        compiled: whether `torch.compile` compiles the step.
    """

    def __init__(self, model, config, images, memory_format, fused=False, compiled=False):
        self.model, self.config, self.images = model, config, images
        self.memory_format = FORMATS[memory_format]
        self.parameters = model.parameters()
        self.optimizers = [self.optimizer(each, fused, compiled) for each in self.parameters]
        self.weights = model.averaged()
        self.averages = [weight.detach().clone() for weight in self.weights]
        self.sums = torch.zeros(model.logged)
        self.steps = 0
        self.order = self.shuffled()
        self.rest_of_decay = torch.zeros(()) if compiled else 0.0
        self.compiled = compiled
        if compiled:
            # Two programs, as an optimizer's step can't be in the same one as gradients.
            self.gradients = torch.compile(self.gradients, fullgraph=True)
            self.update = torch.compile(self.update)

    def optimizer(self, parameters, fused, compiled):
        learning_rate, fused = self.config["learning_rate"], fused or None  # None: its default
        if compiled and self.config["schedule"] != "constant":
            # A tensor, so that another value needs no other program.
            learning_rate = torch.tensor(learning_rate)
        if self.config["optimizer"] == "sgd":
            return torch.optim.SGD(parameters, learning_rate, fused=fused)
        betas = self.config["beta_1"], 0.999
        return torch.optim.Adam(parameters, learning_rate, betas, eps=1e-7, fused=fused)

    def shuffled(self):
        """Endless batches of indices, in a new order in each epoch."""
        size = self.config["batch_size"]
        while True:
            yield from torch.randperm(len(self.images)).split(size)

    def batch(self, rows):
        """float32 images in [0, 1]."""
        images = self.images.index_select(0, rows)  # a third of the time of images[rows]
        return images.to(torch.float32, memory_format=self.memory_format).div_(255)

    def train(self, steps):
        """Make some steps, and wait for them.

        Returns:
            The number of images.
        """
        for _ in range(steps):
            self.set_rates()
            self.step(next(self.order))
            self.steps += 1
        if not math.isfinite(self.sums[0].item()):
            raise ArithmeticError("the loss became NaN or infinite")
        return steps * self.config["batch_size"]

    def set_rates(self):
        """Set the learning rate and the EMA's decay for the step."""
        if self.config["schedule"] != "constant":
            share = min(self.steps / self.config["schedule_steps"], 1)
            final = self.config["final_share"]
            share = final + (1 - final) * (1 + math.cos(math.pi * share)) / 2
            for optimizer in self.optimizers:
                self.set_rate(optimizer.param_groups[0], share * self.config["learning_rate"])
        if self.averages:
            step = self.steps + 1
            rest = 1 - min(self.config["average_decay"], (1 + step) / (10 + step))
            if self.compiled:
                self.rest_of_decay.fill_(rest)
            else:
                self.rest_of_decay = rest

    def set_rate(self, group, learning_rate):
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(learning_rate)
        else:
            group["lr"] = learning_rate

    def step(self, rows):
        """One step on the images at some indices."""
        for parameters, gradients in zip(self.parameters, self.gradients(rows), strict=True):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
        self.update()

    def gradients(self, rows):
        """The gradients for each optimizer; adds up the logged means."""
        images = self.batch(rows)
        losses, logs = self.model.losses(images, self.model.noise(images), True)
        found = []
        for loss, parameters in zip(losses, self.parameters, strict=True):
            is_last = len(found) + 1 == len(losses)
            found.append(torch.autograd.grad(loss, parameters, retain_graph=not is_last))
        self.sums += torch.stack([each.detach() for each in logs])
        return found

    @torch.no_grad()
    def update(self):
        """Update the weights and their EMA."""
        for optimizer in self.optimizers:
            optimizer.step()
        self.update_averages()

    def update_averages(self):
        if not self.compiled:
            if self.averages:
                torch._foreach_lerp_(self.averages, self.weights, self.rest_of_decay)
            return
        for average, weight in zip(self.averages, self.weights, strict=True):
            average.lerp_(weight, self.rest_of_decay)


class Side:
    """The contenders of PyTorch for one preset."""

    def __init__(self):
        self.contenders = {}

    def load(self, folder):
        """Build the networks of a folder that `peers_keras` wrote, in each memory format.

        Writes torch.npz, what the networks compute, for comparison with keras.npz. `time` then
        times the eager step in each of the formats.
        """
        folder = Path(folder)
        self.document = json.loads((folder / "model.json").read_text())
        with np.load(folder / "model.npz") as file:
            self.arrays = dict(file)
        self.images = self.random_images()
        results = {}
        for name in self.formats():
            found = computed(self.model(name, "checked"), self.arrays)
            results |= {f"{key}, {name}": value for key, value in found.items()}
            self.contenders[name] = self.trainer(name)
        np.savez(folder / "torch.npz", **results)
        networks = self.contenders["contiguous"].model.networks()
        weights = [weight for network in networks for weight in network.weights()]
        return {
            "parameters": sum(weight.numel() for weight in weights),
            "macs": multiply_adds(self.trainer("contiguous")),
            "formats": list(self.contenders),
        }

    def choose(self, memory_format):
        """Make the contenders, in one memory format."""
        self.contenders = {
            "eager": self.contenders[memory_format],
            "fused": self.trainer(memory_format, fused=True),
            "compile": self.trainer(memory_format, compiled=True),
        }
        return {"contenders": list(self.contenders)}

    def random_images(self):
        """Whole batches, uint8 (N, C, H, W)."""
        size = self.document["settings"]["batch_size"]
        height, width, channels = self.arrays["images"].shape[1:]
        shape = self.document["images"] // size * size, channels, height, width
        return torch.randint(0, 256, shape, dtype=torch.uint8)

    def formats(self):
        """The memory formats that make a difference."""
        layers = [each for network in self.document["networks"] for each in network]
        has_images = any(each["type"].startswith("Conv") for each in layers)
        return list(FORMATS) if has_images else ["contiguous"]

    def model(self, memory_format, weights):
        networks = []
        for i, layers in enumerate(self.document["networks"]):
            network = Network(layers, memory_format)
            count = sum(layer["weights"] for layer in layers)
            network.load(layers, [self.arrays[f"{i} {weights} {j}"] for j in range(count)])
            networks.append(network)
        return MODELS[self.document["kind"]](*networks, self.document["settings"])

    def trainer(self, memory_format, **kwargs):
        model = self.model(memory_format, "initial")
        settings = self.document["settings"]
        trainer = Trainer(model, settings, self.images, memory_format, **kwargs)
        trainer.train(WARM_UP)
        return trainer

    def time(self, contender, seconds):
        """Images per second."""
        trainer = self.contenders[contender]
        return {"rate": rate(lambda: trainer.train(1), seconds)}


def computed(model, arrays):
    """What `peers_keras.computed` computes, by the same names."""
    x = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2).contiguous() / 255
    noise = torch.from_numpy(arrays["noise"])
    outputs = model.outputs(x, noise)
    found = {"first output": outputs[0], "second output": outputs[1]}
    found = {name: as_keras(output) for name, output in found.items()}
    losses, _ = model.losses(x, noise, False)
    for i, (loss, parameters) in enumerate(zip(losses, model.parameters(), strict=True)):
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True)
        norm = torch.sqrt(sum(each.square().sum() for each in gradients))
        found[f"loss {i}"], found[f"gradient {i}"] = loss.detach().numpy(), norm.numpy()
    return found


def as_keras(output):
    """An output with the channels last, a NumPy array."""
    array = output.detach().numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def multiply_adds(trainer):
    """MACs per image of a training step, as PyTorch counts its operations."""
    with Counter() as counter:
        trainer.step(torch.arange(COUNTED))
    return counter.flops / 2 / COUNTED


class Counter(TorchDispatchMode):
    """Adds up PyTorch's FLOPs of the operations that run.

    Its own `FlopCounterMode` also tracks modules, and fails on R1's gradient of a gradient.
    """

    def __init__(self):
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **kwargs or {})
        if func._overloadpacket in flop_registry:
            count = flop_registry[func._overloadpacket]
            self.flops += count(*args, **kwargs or {}, out_val=result)
        return result


def main():
    torch.set_num_threads(os.cpu_count())
    torch.manual_seed(0)
    torch._logging.set_logs(all=logging.ERROR)
    # Otherwise gradients are taken outside of what is compiled, and R1's can't be.
    torch._dynamo.config.trace_autograd_ops = True
    side = Side()
    serve({"load": side.load, "choose": side.choose, "time": side.time})


if __name__ == "__main__":
    main()
