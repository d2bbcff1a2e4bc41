"""The JSON of a card: strictly read, digested in canonical form, laid out for people."""

import hashlib
import json
import math
from decimal import Decimal
from typing import Any

import rfc8785

LONG_LIST = 16  # numbers; a longer list is written without spaces


def parse(text: str) -> Any:
    """Parse JSON that every reader understands alike.

    Raises:
        ValueError: it is not JSON, an object has a key twice, or a number has digits that do
            not count: a digest of values would not notice when they change.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_object, parse_float=_float)


def digest(value: Any) -> str:
    """ "sha256:" and the SHA-256, in hexadecimal, of a value's canonical JSON (RFC 8785).

    Raises:
        ValueError: canonical JSON has no such value.
    """
    return f"sha256:{hashlib.sha256(rfc8785.dumps(value)).hexdigest()}"


def layout(value: Any, indent: str = "") -> str:
    """JSON for people, each list of numbers on one line."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        items = [f"{inner}{json.dumps(key)}: {layout(item, inner)}" for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        items = [inner + layout(item, inner) for item in value]
    elif isinstance(value, list) and len(value) > LONG_LIST:  # a mixture's: spaces would be a tenth
        return json.dumps(value, separators=(",", ":"))
    else:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n" + ",\n".join(items) + f"\n{indent}{last}"


def _object(pairs):
    found = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"it has the key {key!r} twice")
        found[key] = value
    return found


def _float(text):
    value = float(text)
    if repr(value) != text and not _is_exact(text, value):
        raise ValueError(f"{text} is not the shortest decimal of a number")
    return value


def _is_exact(text, value):
    """Whether a number's spelling, such as 1e-7 or 0.50, has the digits of its shortest one."""
    try:
        return math.isfinite(value) and Decimal(text) == Decimal(repr(value))
    except ArithmeticError:  # an exponent of twenty digits
        return False
