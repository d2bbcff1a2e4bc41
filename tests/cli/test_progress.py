"""The progress bar, on a terminal and without one."""

import io
import sys

import pytest

from keras_ganvae.cli.progress import Bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def written(monkeypatch):
    """`written(stream)`: what two measurements write to it."""

    def write(stream):
        monkeypatch.setattr(sys, "stderr", stream)
        with Bar() as bar:
            for doing in ("floor", "samples"):
                for done in range(3):
                    bar(doing, done, 2)
        return stream.getvalue()

    return write


def test_each_thing_has_a_bar_that_goes_away_when_it_is_done(written):
    shown = [each for each in written(Terminal()).split("\r") if each.strip()]
    assert shown[0].startswith("floor   0%") and shown[-1].startswith("samples")
    assert max(map(len, shown)) <= 79
    assert not written(Terminal()).split("\r")[-1].strip()


def test_without_a_terminal_there_is_none(written):
    assert written(io.StringIO()) == ""


def test_what_is_left_half_done_ends_its_line(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = Bar()
    bar("floor", 1, 2)
    bar.close()
    bar.close()
    assert bar.bar is None
