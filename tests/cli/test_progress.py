"""The progress bar, with and without a terminal."""

import io
import sys

import pytest

from keras_ganvae.cli.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def output(monkeypatch):
    """`output(stream)`: what two measurements write to a stream in place of stderr."""

    def write(stream):
        monkeypatch.setattr(sys, "stderr", stream)
        with ProgressBar() as progress:
            for label in ("floor", "samples"):
                for done in range(3):
                    progress(label, done, 2)
        return stream.getvalue()

    return write


def test_each_measurement_has_a_bar_that_is_cleared_at_its_end(output):
    shown = [each for each in output(Terminal()).split("\r") if each.strip()]
    assert shown[0].startswith("floor   0%") and shown[-1].startswith("samples")
    assert max(map(len, shown)) <= 79
    assert not output(Terminal()).split("\r")[-1].strip()


def test_without_a_terminal_nothing_is_written(output):
    assert output(io.StringIO()) == ""


def test_closing_clears_an_unfinished_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = ProgressBar()
    progress("floor", 1, 2)
    progress.close()
    progress.close()
    assert not terminal.getvalue().split("\r")[-1].strip()
