"""Validation by the part of JSON Schema 2020-12 that the model card's schema uses.

`verify` must run where little is installed, so it can't import a library for this.
Two rules are stricter than the standard's: numbers are finite, and 1.0 is not an integer.
"""

import operator
import re
import sys
from collections.abc import Callable
from typing import Any

from keras_ganvae.errors import InputError


def check(value: Any, schema: dict, name: str) -> None:
    """Check a value parsed from JSON.

    Args:
        schema: a JSON Schema with keywords of `KEYWORDS`. A `title` says what a value must be.
        name: what messages call the value.

    Raises:
        InputError: the value breaks the schema; the message names the key.
    """
    _check(value, schema, name, schema.get("$defs", {}))


def _check(value, schema, where, definitions):
    if "$ref" in schema:
        schema = definitions[schema["$ref"].removeprefix("#/$defs/")]
    for keyword, limit in schema.items():
        if keyword in _TESTS and not _TESTS[keyword](value, limit):
            raise InputError(f"{where} must be {schema.get('title') or _NOUNS[schema['type']]}")
    if isinstance(value, dict):
        _check_object(value, schema, where, definitions)
    elif isinstance(value, list):
        first, others = schema.get("prefixItems", []), schema.get("items", {})
        for i, item in enumerate(value):
            _check(item, first[i] if i < len(first) else others, f"{where}[{i}]", definitions)


def _check_object(value, schema, where, definitions):
    for key in schema.get("required", ()):
        if key not in value:
            raise InputError(f"{where}.{key} is missing")
    for key, item in value.items():
        path = f"{where}.{key}" if key.isidentifier() else f"{where}[{key!r}]"
        of_key = _schema_of(key, schema)
        if of_key is False:
            raise InputError(f"{path} is not known")
        _check(item, of_key, path, definitions)


def _schema_of(key, schema):
    if key in schema.get("properties", {}):
        return schema["properties"][key]
    for pattern, of_key in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            return of_key
    return schema.get("additionalProperties", {})


def _is_number(value):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max  # false for NaN


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": lambda value: isinstance(value, int) and _is_number(value),
}
_NOUNS = {"object": "an object", "array": "a list"}


def _has_type(value, names):
    if isinstance(names, str):
        return _TYPES[names](value)
    return any(_TYPES[name](value) for name in names)


def _equal(value, other):
    """Equality in JSON, where true is not 1."""
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_equal, value, other))
    return value == other and isinstance(value, bool) == isinstance(other, bool)


# Keyword -> whether a value passes it. A schema has its `type` first, since others rely on it.
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "type": _has_type,
    "const": _equal,
    "enum": lambda value, options: any(_equal(value, option) for option in options),
    "minimum": operator.ge,
    "exclusiveMinimum": operator.gt,
    "pattern": lambda value, pattern: re.search(pattern, value) is not None,
    "minLength": lambda value, limit: len(value) >= limit,
    "maxLength": lambda value, limit: len(value) <= limit,
    "minItems": lambda value, limit: len(value) >= limit,
    "maxItems": lambda value, limit: len(value) <= limit,
}
KEYWORDS = {
    *_TESTS,
    *("$schema", "$defs", "$ref", "title", "description"),
    *("properties", "patternProperties", "additionalProperties", "required"),
    *("items", "prefixItems"),
}
