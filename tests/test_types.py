"""The public API is typed: every public function and method annotates what it takes and gives."""

import ast
from pathlib import Path

import pytest

import keras_ganvae

PACKAGE = Path(keras_ganvae.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
# Keras calls these, with arguments that it defines.
KERAS = {"call", "build", "compute_output_shape", "get_config", "from_config", "add_variable"}


def _public(body):
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(node.body)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def _lacks(function):
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    if arguments and arguments[0].arg in ("self", "cls"):
        arguments = arguments[1:]
    bare = [each.arg for each in arguments if each.annotation is None]
    return bare + ([] if function.returns else ["its result"])


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_public_functions_are_annotated(module):
    tree = ast.parse((PACKAGE / module).read_text())
    bare = {
        f"{function.name}, line {function.lineno}": lacks
        for function in _public(tree.body)
        if function.name not in KERAS
        and not function.name.startswith("on_")
        and (lacks := _lacks(function))
    }
    assert not bare


def test_type_checkers_find_the_annotations():
    assert (PACKAGE / "py.typed").exists()
