"""The import order: a module imports from its own room and the rooms below it, no other."""

import ast
from pathlib import Path

import pytest

import keras_ganvae

# From the ground up: each room is built on those before it.
ROOMS = [
    "errors",
    "files",
    "config",
    "equations",
    "runtime",
    "data",
    "distributed",
    "models",
    "architectures",
    "priors",
    "runs",
    "plots",
    "training",
    "metrics",
    "evaluation",
    "tflite",
    "bundle",
    "paper",
    "web",
    "cli",
    "__init__",
    "__main__",
]
PACKAGE = Path(keras_ganvae.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def _imported_rooms(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            room = rest.partition(".")[0]
            if package == "keras_ganvae" and room in ROOMS:
                yield room


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_come_from_the_rooms_below(module):
    room = module.parts[0].removesuffix(".py")
    assert room in ROOMS, f"{room} is new: give it its place in ROOMS"
    tree = ast.parse((PACKAGE / module).read_text())
    above = {each for each in _imported_rooms(tree) if ROOMS.index(each) > ROOMS.index(room)}
    assert not above, f"{module} imports from {above}"
