"""Arrays and templates as C text."""

import functools
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np

TYPES = {
    "int8": "int8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "float32": "float",
}
SUFFIXES = {"uint32": "u", "float32": "f"}
PER_LINE = {"int8": 16, "int16": 12}  # numbers of a line; 8 of the wider types


@dataclass(frozen=True, eq=False)
class Array:
    """A constant array of a C file: numbers of any shape, whose dtype is one of `TYPES`."""

    name: str
    values: np.ndarray

    @property
    def bytes(self) -> int:
        return self.values.nbytes

    @property
    def definition(self) -> str:
        dtype = str(self.values.dtype)
        sizes = "".join(f"[{n}]" for n in self.values.shape)
        numbers = _braced(self.values, SUFFIXES.get(dtype, ""), PER_LINE.get(dtype, 8))
        return f"static const {TYPES[dtype]} {self.name}{sizes} = {numbers};"


def _braced(values: np.ndarray, suffix: str, per_line: int) -> str:
    """An initializer with braces around every row, as -Wmissing-braces demands."""
    if values.ndim > 1:
        rows = ",\n".join(_braced(row, suffix, per_line) for row in values)
        return f"{{\n{rows}\n}}"
    # str of a float32 is the shortest decimal that a compiler reads as the same float32.
    numbers = [f"{number}{suffix}" for number in values]
    lines = [", ".join(numbers[i : i + per_line]) for i in range(0, len(numbers), per_line)]
    return "{" + ",\n ".join(lines) + "}"


def narrowed(values: np.ndarray) -> np.ndarray:
    """Integers in the narrowest of int8, int16 and int32 that holds them all."""
    for dtype in (np.int8, np.int16):
        if (
            values.size
            and np.iinfo(dtype).min <= values.min() <= values.max() <= np.iinfo(dtype).max
        ):
            return values.astype(dtype)
    return values.astype(np.int32)


def rendered(template: str, **values: Any) -> str:
    """A file of `templates/` with its values."""
    return _environment().get_template(template).render(values)


@functools.cache
def _environment():
    return jinja2.Environment(
        loader=jinja2.PackageLoader("keras_ganvae.c", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # C, not HTML
    )
