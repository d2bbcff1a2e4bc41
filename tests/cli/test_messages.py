"""Messages name settings; the command line shows flags."""

import errno
import logging
import shutil

import pytest

from keras_ganvae.cli.messages import (
    LogFormatter,
    described,
    explain,
    flag,
    print_lines,
    shortened,
    with_flags,
)
from keras_ganvae.errors import GateFailed, InputError, Interrupted, printable

FLAGS = {"--image-size", "--strategy", "--seed"}


def test_the_flag_of_a_setting():
    assert flag("image_size") == "--image-size"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`image_size` must be at least 4", "--image-size must be at least 4"),
        ("`strategy=mirrored` needs a GPU", "--strategy mirrored needs a GPU"),
        ("`seed` or `image_size`", "--seed or --image-size"),
        ("`limits` is unknown", "limits is unknown"),
        ("a plain image_size", "a plain image_size"),
        ("run `keras-ganvae web`", "run `keras-ganvae web`"),
        ("an odd ` stays", "an odd ` stays"),
    ],
)
def test_settings_become_flags(text, expected):
    assert with_flags(text, FLAGS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("`epochs` is 0", "epochs is 0"), ("`jit=on` is slow", "jit=on is slow")],
)
def test_a_setting_without_a_flag_of_this_command_keeps_its_name(text, expected):
    assert with_flags(text, FLAGS) == expected
    assert with_flags(text, ()) == expected


def test_an_error_is_one_line():
    assert described(InputError("`seed` is\n  wrong"), FLAGS) == "--seed is wrong"


def test_an_error_shows_how_to_resume():
    error = Interrupted("interrupted in epoch 3", resume="runs/my run")
    expected = "interrupted in epoch 3; to resume: keras-ganvae train --resume 'runs/my run'"
    assert described(error, FLAGS) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InputError("`seed` is wrong"), ("--seed is wrong", 2)),
        (GateFailed("parity failed"), ("parity failed", 1)),
        (Interrupted("stopped"), ("stopped", 130)),
        (PermissionError(errno.EACCES, "denied", "a.png"), ("permission denied (a.png)", 2)),
        (
            OSError(errno.ENOSPC, "no space"),
            ("the disk is full; existing files are intact; free some space and try again", 2),
        ),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "a" * 9),
            ("a file name or path is too long (aaaaaaaaa)", 2),
        ),
        (OSError(errno.ELOOP, "Too many levels", "a"), ("symbolic links form a loop (a)", 2)),
        (RuntimeError("Symlink loop from '/a'"), ("symbolic links form a loop", 2)),
        (ValueError("embedded null byte"), ("a path contains a NUL character", 2)),
        (
            MemoryError(),
            (
                "out of memory; a smaller batch_size, --image-size, limit or count needs less",
                2,
            ),
        ),
        (
            ModuleNotFoundError("No module named 'keras'", name="keras"),
            ("this command needs the Python package keras, which is not installed", 2),
        ),
        (
            ValueError("first line\nsecond line"),
            ("unexpected ValueError: first line (--debug shows where)", 1),
        ),
    ],
)
def test_an_exception_becomes_a_line_and_an_exit_code(error, expected):
    assert explain(error, FLAGS) == expected


def test_log_lines_show_flags():
    line = logging.LogRecord(
        "keras_ganvae", logging.INFO, "", 0, "%s: `seed=%d`", ("data", 3), None
    )
    assert LogFormatter(FLAGS).format(line) == "data: --seed 3"


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        (MemoryError(), "out of memory"),
        (OSError(errno.EFBIG, "File too large"), "size limit"),
        (OSError(errno.EMFILE, "Too many open files"), "too many files open (ulimit -n)"),
        (RuntimeError("UNKNOWN: model.bin: No space left on device"), "the disk is full"),
        (ImportError("x.so: failed to map segment from shared object"), "out of memory"),
    ],
)
def test_what_the_machine_lacks_is_not_blamed_on_a_file(cause, shown):
    """A file is not damaged, and a bundle not bad, because there was no memory to read it."""
    assert explain(cause)[1] == 2 and shown in explain(cause)[0]
    damaged = InputError("a.npz is damaged; delete it")
    damaged.__cause__ = cause
    failed = GateFailed("a.npz is damaged; delete it")
    failed.__cause__ = damaged
    assert explain(failed) == explain(cause)


def test_an_error_fits_on_a_screen(command):
    """It keeps its start, which says what is wrong, and its end, which says what to do."""
    code, _, err = command("verify", "a/" * 2000)
    assert code == 2 and len(err) < 1000 and err.count("\n") == 1
    assert err.startswith("keras-ganvae: ") and " ... " in err
    assert shortened("x" * 900) == "x" * 900


NAME = "a\x1b[2J\x07\nb\r\x9b\u202e\u2028\udcff"


def test_names_cannot_control_the_terminal(capsys):
    assert printable(NAME) == r"a\x1b[2J\x07\nb\r\x9b\u202e\u2028\udcff"
    assert printable("Zwölf Größen ± 1 数") == "Zwölf Größen ± 1 数"
    print_lines(NAME, "second")
    assert capsys.readouterr().out == f"{printable(NAME)}\nsecond\n"


def test_log_lines_escape_names():
    line = logging.LogRecord("keras_ganvae", logging.INFO, "", 0, "data: %s", (NAME,), None)
    assert LogFormatter(()).format(line) == f"data: {printable(NAME)}"


def test_errors_and_tables_escape_names(command, run_of, tmp_path):
    code, out, err = command("sample", tmp_path / "a\x1b[2J", "--out", tmp_path / "a.png")
    assert (code, out) == (2, "") and err.endswith("a\\x1b[2J\n")
    path = shutil.copytree(run_of("vae").path, tmp_path / "run")
    history = (path / "history.csv").read_text()
    (path / "history.csv").write_text(history.replace(",loss", ",\x1b[31m", 1))
    code, out, _ = command("train", "--resume", path)
    assert code == 0 and "\\x1b[31m" in out and "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["train", "--arch", "vae", "--image-size", "2"], "--image-size must be at least 4, not 2"),
        (["train", "--arch", "vae", "--set", "epochs=0"], "--epochs must be at least 1, not 0"),
        (["evaluate", "runs/none", "--bound-images", "0"], "--bound-images must be at least 1"),
        (["sample", "runs/none", "--out", "a.png", "--count", "0"], "--count must be at least 1"),
    ],
)
def test_the_command_line_shows_the_flags_of_its_command(command, arguments, shown):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "") and shown in err and "`" not in err
