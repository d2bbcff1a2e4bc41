"""Running a .tflite file: the only module that touches the LiteRT interpreter."""

import contextlib
from dataclasses import dataclass

import numpy as np

from keras_ganvae.errors import InputError, first_line
from keras_ganvae.tflite import operators
from keras_ganvae.tflite import read as flatbuffer
from keras_ganvae.tflite.quiet import quietly


@dataclass(frozen=True)
class Port:
    """One input or output of a signature."""

    shape: tuple
    dtype: np.dtype


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a signature, name -> Port."""

    inputs: dict
    outputs: dict


class Model:
    """A loaded model: `signatures` by name, and `run`. Not for several threads at once."""

    def __init__(self, parsed: flatbuffer.Model, threads: int):
        from ai_edge_litert.interpreter import Interpreter  # 0.1 s

        self.path = parsed.path
        self.signatures = {
            name: Signature(_ports(parsed, name, "inputs"), _ports(parsed, name, "outputs"))
            for name in parsed.signatures
        }
        with quietly(f"run {self.path}"):
            self._interpreter = Interpreter(model_content=parsed.content, num_threads=threads)
            self._runners = {
                name: self._interpreter.get_signature_runner(name) for name in self.signatures
            }
        self._has_run = set()

    def run(self, signature: str, **inputs) -> dict[str, np.ndarray]:
        """The outputs of one signature by name, copies.

        Raises:
            InputError: there is no such signature, an input is missing or of another shape
                or type, or the graph failed.
        """
        if signature not in self.signatures:
            raise InputError(
                f"{self.path} has no signature {signature}; it has {', '.join(self.signatures)}"
            )
        ports = self.signatures[signature].inputs
        if set(inputs) != set(ports):
            raise InputError(f"{signature} of {self.path} takes {', '.join(ports)}")
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        for name, array in arrays.items():
            port = ports[name]
            # The interpreter would resize the graph to another shape.
            if array.shape != port.shape or array.dtype != port.dtype:
                raise InputError(
                    f"{name} of {signature} in {self.path} is {port.dtype} {list(port.shape)},"
                    f" not {array.dtype} {list(array.shape)}"
                )
        task = f"run {signature} of {self.path}"
        # The first run prepares the graph, where XNNPACK says on stderr that it is there.
        with _explained(task) if signature in self._has_run else quietly(task):
            results = self._runners[signature](**arrays)
        self._has_run.add(signature)
        return results


def open_model(source, threads=1, path=None) -> Model:
    """Load a .tflite file, after every part of it was checked.

    Args:
        source: a path, bytes, or a parsed `flatbuffer.Model`.
        threads: of the CPU.
        path: what to call bytes in messages.

    Raises:
        InputError: it can't be read, is damaged, or asks for what can't be run here.
    """
    parsed = source if isinstance(source, flatbuffer.Model) else flatbuffer.read(source, path)
    return Model(operators.check(parsed), threads)


@contextlib.contextmanager
def _explained(task):
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise InputError(f"can't {task}: {first_line(error)}") from error


def _ports(parsed, signature, side):
    tensors = parsed.tensors(signature, side)
    return {
        name: Port(each.shape, np.dtype(flatbuffer.NUMPY[each.dtype]))
        for name, each in tensors.items()
    }
