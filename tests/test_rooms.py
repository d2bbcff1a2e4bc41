"""The import order: a module imports from its own room and the rooms below it, no other."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_ganvae

# From the ground up: each room is built on those before it.
ROOMS = [
    "errors",
    "files",
    "ownership",
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
    "c",
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


FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
# The report prints the commands that reproduce it.
WRITES_COMMANDS = {Path("paper/compare.py")}


@pytest.mark.parametrize("module", sorted(set(MODULES) - WRITES_COMMANDS), ids=str)
def test_only_the_command_line_knows_flags(module):
    """Errors and logs name settings instead; docstrings may explain."""
    if module.parts[0] in ("cli", "__main__.py"):
        return
    tree = ast.parse((PACKAGE / module).read_text())
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    docstrings = {
        ast.get_docstring(n, clean=False) for n in ast.walk(tree) if isinstance(n, documented)
    }
    texts = {
        n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }
    flags = {flag for text in texts - docstrings for flag in FLAG.findall(text)}
    assert not {flag for flag in flags if not flag.startswith("--series-") and flag != "--line"}


@pytest.mark.parametrize(
    "room", ["cli.main", "architectures", "runs.run", "runs.checkpoints", "priors", "bundle.verify"]
)
def test_importing_loads_no_tensorflow(room):
    code = f"""
import sys, keras_ganvae.{room}
from keras_ganvae import architectures
architectures.resolve(architectures.TrainConfig(arch="cvae"))
assert not {{"tensorflow", "keras", "sklearn"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
