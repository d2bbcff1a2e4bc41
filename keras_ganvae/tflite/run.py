"""Run a .tflite file: the only module that touches the LiteRT interpreter."""

import contextlib
import os
from dataclasses import dataclass

import numpy as np

from keras_ganvae.errors import InputError, first_line
from keras_ganvae.tflite import operators
from keras_ganvae.tflite.quiet import quietly
from keras_ganvae.tflite.read import IDENTIFIER, NUMPY, ModelFile, read_model


@dataclass(frozen=True)
class TensorInfo:
    """Static shape and type of one input or output of a signature."""

    shape: tuple
    dtype: np.dtype


@dataclass(frozen=True)
class SignatureInfo:
    """The inputs and outputs of a signature by name."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]


class LoadedModel:
    """A model loaded into a LiteRT interpreter; not thread-safe.

    Args:
        file: a model that passed `operators.check`.
        threads: number of CPU threads.
        reference: run LiteRT's reference kernels, slow and the same on every processor.
    """

    def __init__(self, file: ModelFile, threads: int, reference: bool = False):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType  # 0.1 s

        self.path = file.path
        self.signatures = {
            name: SignatureInfo(_info(each.inputs), _info(each.outputs))
            for name, each in file.signatures.items()
        }
        with quietly(f"run {self.path}"):
            self._interpreter = Interpreter(
                model_content=_for_reference(file.content) if reference else file.content,
                num_threads=threads,
                experimental_op_resolver_type=(
                    OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
                ),
            )
            self._runners = {
                name: self._interpreter.get_signature_runner(name) for name in self.signatures
            }
        self._has_run: set[str] = set()

    def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Copies of the outputs of one signature, by name.

        Raises:
            InputError: the signature does not exist, an input is missing or has the wrong
                shape or type, or execution failed.
        """
        if signature not in self.signatures:
            raise InputError(
                f"{self.path} has no signature {signature}; it has {', '.join(self.signatures)}"
            )
        expected = self.signatures[signature].inputs
        if set(inputs) != set(expected):
            raise InputError(f"{signature} of {self.path} takes {', '.join(expected)}")
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        for name, array in arrays.items():
            info = expected[name]
            # The interpreter would resize the graph to another shape.
            if array.shape != info.shape or array.dtype != info.dtype:
                raise InputError(
                    f"{name} of {signature} in {self.path} is {info.dtype} {list(info.shape)},"
                    f" not {array.dtype} {list(array.shape)}"
                )
        task = f"run {signature} of {self.path}"
        # XNNPACK announces itself on stderr when the first run prepares the graph.
        with _explained(task) if signature in self._has_run else quietly(task):
            results = self._runners[signature](**arrays)
        self._has_run.add(signature)
        return results


def open_model(
    source: str | os.PathLike | bytes | ModelFile,
    threads: int = 1,
    path: str | None = None,
    *,
    reference: bool = False,
) -> LoadedModel:
    """Load a .tflite file after checking every part of it.

    Args:
        source: path or content of the file, or the result of `read_model`.
        threads: number of CPU threads.
        path: name of the bytes in messages.
        reference: see `LoadedModel`.

    Raises:
        InputError: the file can't be read, is damaged, or needs what can't be run here.
    """
    file = source if isinstance(source, ModelFile) else read_model(source, path)
    return LoadedModel(operators.check(file), threads, reference)


def _for_reference(content: bytes) -> bytes:
    """A model whose DEPTH_TO_SPACE says version 1.

    LiteRT lists its reference kernel for that version alone, although it takes int8, too.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for code in model.operatorCodes:
        if code.builtinCode == schema.BuiltinOperator.DEPTH_TO_SPACE:
            code.version = 1
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


@contextlib.contextmanager
def _explained(task):
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise InputError(f"can't {task}: {first_line(error)}") from error


def _info(tensors):
    return {name: TensorInfo(each.shape, NUMPY[each.dtype]) for name, each in tensors.items()}
