"""The model card's schema: our validator agrees with the jsonschema library."""

import copy
import json
import math
import random
from importlib import resources

import jsonschema
import pytest

from keras_ganvae.bundle import card as cards
from keras_ganvae.bundle import schema
from keras_ganvae.errors import InputError

DOCUMENT = json.loads(
    (resources.files("keras_ganvae.bundle") / cards.SCHEMA_FILE).read_text(encoding="utf-8")
)


def is_integer(checker, value):
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite_number(checker, value):
    return is_integer(checker, value) or (isinstance(value, float) and math.isfinite(value))


@pytest.fixture(scope="module")
def independent():
    """The library's validator, with the two rules in which ours is stricter."""
    base = jsonschema.Draft202012Validator
    strict = base.TYPE_CHECKER.redefine_many({"integer": is_integer, "number": is_finite_number})
    validator = jsonschema.validators.extend(base, type_checker=strict)
    validator.check_schema(DOCUMENT)
    return validator(DOCUMENT)


@pytest.fixture(scope="module")
def valid_cards(make_facts, mixture):
    measured = {"float32": {"p50_ms": 0.2, "note": "slow"}, "protocol": "10,000 samples"}
    facts = (
        make_facts(mixture(2, 3)),
        make_facts(variational=False, image_shape=(8, 6, 3)),
    )
    return [cards.build(facts[0]), cards.build(facts[1]) | {"metrics": measured}]


def is_valid(card):
    try:
        schema.check(card, DOCUMENT, "card")
    except InputError:
        return False
    return True


def test_every_keyword_of_the_schema_is_implemented():
    def keywords(node):
        yield from node
        for name in ("properties", "patternProperties", "$defs"):
            for child in node.get(name, {}).values():
                yield from keywords(child)
        for name in ("additionalProperties", "items"):
            if isinstance(node.get(name), dict):
                yield from keywords(node[name])
        for child in node.get("prefixItems", ()):
            yield from keywords(child)

    assert set(keywords(DOCUMENT)) <= schema.KEYWORDS


def test_valid_cards(independent, valid_cards):
    for card in valid_cards:
        assert is_valid(card)
        independent.validate(card)


VALUES = (
    *(None, True, False, 0, 1, 3, -1, 0.5, 1.0, 2.0, math.nan, math.inf, -math.inf, 10**300),
    *("", "x", "normal", "int32", "NHWC", "ab" * 32, "ab" * 31 + "z", "ab" * 32 + "\n"),
    *([], [0, 1], [0.0, 1.0], [False, True], [28, 28, 1], [28, 28, 2], [1, 2, 3, 4], [[1]]),
    *({}, {"x": 1}, {"x": {"y": 1}}, {"bytes": 1, "sha256": "ab" * 32}),
)
KEYS = ("x", "size", "a.tflite", "a.txt", "range", "")


def containers(value):
    """All objects and lists of a JSON value."""
    if isinstance(value, dict | list):
        yield value
        for child in value.values() if isinstance(value, dict) else value:
            yield from containers(child)


def mutate(card, rng):
    """Delete, replace or add one value."""
    place = rng.choice([each for each in containers(card) if each])
    key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
    match rng.choice(("delete", "replace", "replace", "add", "move")):
        case "delete":
            del place[key]
        case "replace":
            place[key] = copy.deepcopy(rng.choice(VALUES))
        case "add" if isinstance(place, dict):
            place[rng.choice(KEYS)] = copy.deepcopy(rng.choice(VALUES))
        case "add":
            place.append(copy.deepcopy(rng.choice(VALUES)))
        case "move":  # a value of another key
            place[key] = copy.deepcopy(rng.choice(list(containers(card))))


def test_mutated_cards_are_valid_for_both_or_for_neither(independent, valid_cards):
    rng = random.Random(0)
    answers = []
    for _ in range(600):
        card = copy.deepcopy(rng.choice(valid_cards))
        mutate(card, rng)
        answers.append(is_valid(card))
        assert answers[-1] == independent.is_valid(card), json.dumps(card)
    assert 50 < sum(answers) < 550


def test_every_value_has_a_type(valid_cards):
    """An object in the place of a value is an error everywhere except in `metrics`."""
    checked = 0
    for card in valid_cards:
        for place in containers(card):
            if place is card["metrics"]:
                continue
            for key in list(place) if isinstance(place, dict) else range(len(place)):
                kept, place[key] = place[key], {"unexpected": [1]}
                assert not is_valid(card), key
                place[key] = kept
                checked += 1
    assert checked > 250
