"""The standing adversary, for about two minutes and always the same cases."""

import sys

import pytest

from hostile.session import Session

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and forks"),
]
SEED = 16
# In pieces, so that two workers share them.
PIECES = [
    ("values", 0, 120),
    ("values", 1, 120),
    ("files", 0, 40),
    ("files", 1, 40),
    ("faults", 0, 3),
    ("faults", 1, 3),
    ("server", 0, 150),
]


@pytest.fixture(scope="module")
def session():
    with Session() as session:
        yield session


@pytest.mark.parametrize(("kind", "piece", "count"), PIECES)
def test_no_case_breaks_a_promise(session, kind, piece, count):
    before = set(session.report.violations)
    session.attack(kind, SEED + piece, count)
    assert set(session.report.violations) <= before, "\n".join(session.report.lines())
    assert session.report.cases[kind] >= count
