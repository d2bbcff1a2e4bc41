"""Hostile values for every option of every command, from the parser of the program."""

import argparse
import json

from hypothesis import strategies as st

from hostile.case import Case, Damage
from hostile.scene import MEASURE, TINY
from keras_ganvae.cli.main import build_parser

NUMBERS = (
    *("0", "-1", "1", "2", "3", "-0", "+1", "1e3", "1e30", "1e400", "-1e400", "1e-320", "0.0"),
    *(
        "nan",
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        "0x10",
        "0b1",
        "1_000",
        "\uff11",
        "\u0663",
        "1.5",
        "1,5",
    ),
    *("2147483647", "2147483648", "-2147483649", str(2**63), str(2**64), "9" * 400, "9" * 5000),
    *("0." + "3" * 5000, "1e" + "9" * 50, "[" * 3000, "4097", "100000", "1000000000"),
)
TEXTS = (
    *("", " ", "-", "--", "=", "None", "none", "null", "true", "False", "[]", "{}", "\t", "\n"),
    *("a\nb", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\r", "\x7f", "\u202e", "\u2028", "\ufeff"),
    *(
        "kürbis",
        "数字",
        "🦄",
        "\udcff",
        "a\udc80b",
        "e\u0301",
        "%s%n{0}",
        "${HOME}",
        "$(id)",
        "'\"",
    ),
    *("*", "~", "~nobody", "~nosuchuser", "%2e%2e", "x" * 300, "x/" * 3000, "`name`", "`a=b`"),
    *("{{7*7}}", "<script>", "\\", "a\\nb", "..", ".", "/", "//", "CON", "-x", "--out", "@file"),
)
PATHS = (
    *("run", "run/", "gan", "unfinished", "bundle", "bundle/model.tflite", "bundle/", "site"),
    *("comparison", "data.npz", "images", "empty", "notes.md", "thesis", "nowhere", "nowhere/a/b"),
    *("odd/fifo.png", "odd/loop.png", "odd/dangling", "odd/to-run", "odd/to-notes.png", "odd"),
    *("odd/folder.png", "odd/text.npz", "odd/empty.tflite", "odd/sealed", "odd/sealed/new.png"),
    *(
        "notes.md/below.png",
        "run/config.json",
        "run/prior.npz",
        "run/model.keras",
        "run/checkpoint",
    ),
    *("run/figures/new.png", "bundle/golden.npz", "bundle/new", "run/.lock", "../work", ".."),
    *("/dev/full", "/dev/null", "/dev/zero", "/proc/self/mem", "/proc/1/root", "/etc/passwd"),
    *("x" * 300 + ".png", "d/" * 2500 + "a.png", "a\nb.png", "\x1b[31m.png", "kürbis.npz", "🦄/"),
    *("\udcff.png", " .png", "-.png", "new", "new.png", "new.npz", "new.gif", "new/", "./new//"),
)
SPECS = (
    *(
        "npz:data.npz",
        "folder:images",
        "synthetic",
        "npz:",
        "folder:",
        "npz:run",
        "folder:data.npz",
    ),
    *("npz:odd/fifo.png", "npz:odd/text.npz", "npz:odd/loop.png", "folder:odd", "folder:empty"),
    *(
        "folder:.",
        "folder:/proc",
        "folder:/dev",
        "npz:/dev/zero",
        "npz:/dev/full",
        "npz:run/prior.npz",
    ),
    *(
        "tfds:",
        "tfds:mnist",
        "tfds:../../x",
        "nosuchset",
        "a:b:c",
        ":",
        "npz",
        "MNIST",
        "mnist:9.9.9",
    ),
    *("npz:~nosuchuser/a.npz", "npz:~/a.npz", "folder:" + "x" * 300, "folder:odd/to-run"),
)
MEANT_AS_PATHS = ("RUN", "BUNDLE", "DIR", "FILE", "SOURCE")
# What makes each command succeed. `train` stops early at a folder that is not a run, after all
# settings were checked: most cases are to be quick.
VALID = {
    "train": (*TINY, "--arch", "vae", "--out", "thesis"),
    "sample": ("run", "--count", "2", "--out", "new.png"),
    **dict.fromkeys(
        ("reconstruct", "interpolate", "traverse", "manifold"), ("run", "--out", "new.png")
    ),
    "animate": ("run", "--out", "new.gif"),
    "evaluate": ("unfinished", *MEASURE),
    "compare": ("unfinished", *MEASURE, "--out", "new"),
    "export": ("unfinished", "--formats", "float32", "--out", "new"),
    "verify": ("bundle",),
    "benchmark": ("bundle", "--no-quality", "--samples", "130", "--dataset", "npz:data.npz"),
    "demo": ("nowhere", "--port", "0"),
    "web": ("bundle", "--out", "thesis"),
    "datasets": (),
    "doctor": (),
}
# Instead: what gets as far as the work itself.
THOROUGH = {
    "train": (*TINY, "--arch", "vae", "--out", "new"),
    "evaluate": ("run", *MEASURE),
    "compare": ("run", *MEASURE, "--out", "new"),
    "export": ("run", "--formats", "float32", "--out", "new"),
    "web": ("bundle", "--out", "new"),
}
QUICK_SHARE = 12  # quick cases for one that gets to the work

_parser, _commands = build_parser()


def _text() -> st.SearchStrategy[str]:
    written = st.text(st.characters(exclude_characters="\0"), max_size=20)
    return st.one_of(st.sampled_from(TEXTS), written)


def _number() -> st.SearchStrategy[str]:
    return st.one_of(
        st.sampled_from(NUMBERS), st.integers().map(str), st.floats().map(str), _text()
    )


def values_of(action: argparse.Action) -> st.SearchStrategy[str]:
    """Hostile values of one option."""
    metavar = str(action.metavar or "")
    if action.type in (int, float):
        return st.one_of(_number(), st.sampled_from(PATHS))
    if metavar == "SPEC":
        return st.one_of(st.sampled_from(SPECS), st.sampled_from(PATHS), _text())
    if metavar in MEANT_AS_PATHS:
        return st.one_of(st.sampled_from(PATHS), st.sampled_from(PATHS), _text())
    if metavar == "KEY=VALUE":
        return assignments()
    choices = list(action.choices or metavar.strip("{}").split(","))
    return st.one_of(st.sampled_from(choices), _text(), st.sampled_from(NUMBERS))


def settings() -> list[str]:
    """The settings that `--set` and `--config` take: `train`'s options."""
    return [
        flag[2:].replace("-", "_")
        for flag in _commands["train"].flags
        if flag.startswith("--") and not flag.startswith("--no-")
    ]


def assignments() -> st.SearchStrategy[str]:
    """KEY=VALUE."""
    keys = st.one_of(st.sampled_from(settings()), _text())
    return st.builds("{}={}".format, keys, st.one_of(_number(), st.sampled_from(SPECS), _text()))


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([0, -1, 2**31, 2**64, 10**400, 1e308, 5]),
        st.floats(),
        st.sampled_from(TEXTS),
        st.text(max_size=10),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)


@st.composite
def toml(draw) -> str:
    """The text of a settings file."""
    if draw(st.integers(0, 9)) == 7:
        return draw(st.one_of(st.text(max_size=40), st.sampled_from(["[[a]]", "a=" + "[" * 3000])))
    lines = []
    for key in draw(st.lists(st.sampled_from(settings()), min_size=1, max_size=3)):
        value = draw(
            st.one_of(st.sampled_from(NUMBERS + ("1979-05-27", "07:32:00")), JSON.map(json.dumps))
        )
        lines.append(f"{key} = {value}")
    return "\n".join(lines)


@st.composite
def options(draw, command: str) -> list[str]:
    """One option of a command with a hostile value, or one that it does not have."""
    actions = [
        each for each in _commands[command]._actions if each.option_strings and each.dest != "help"
    ]
    if draw(st.integers(0, 19)) == 7:
        return [draw(_text()), *draw(st.lists(_text(), max_size=1))]
    action = draw(st.sampled_from(actions))
    flag = draw(st.sampled_from(action.option_strings))
    if action.nargs == 0:
        return [draw(st.sampled_from([flag, flag, f"{flag}=1", flag[:-1], flag.upper()]))]
    if action.nargs == "+":
        return [flag, *draw(st.lists(values_of(action), max_size=3))]
    value = draw(values_of(action))
    return draw(st.sampled_from([[flag, value], [flag, value], [f"{flag}={value}"], [flag]]))


@st.composite
def cases(draw) -> Case:
    """A command with one to three hostile arguments."""
    command = draw(st.sampled_from(sorted(VALID)))
    valid = VALID[command]
    if draw(st.integers(0, QUICK_SHARE)) == 5:
        valid = THOROUGH.get(command, valid)
    words, damages = [*valid], []
    for i in draw(st.lists(st.integers(0, 9), min_size=1, max_size=3)):
        if i == 7:
            words = draw(st.lists(_text(), max_size=2))
        elif i == 5 and words:  # a positional argument, or the value of an option
            at = draw(st.integers(0, len(words) - 1))
            words[at] = draw(st.one_of(st.sampled_from(PATHS), _text()))
        elif i < 4 and command == "train":
            damages = [Damage("attack.toml", "write", value=draw(toml()))]
            words += ["--config", "attack.toml"]
        else:
            words += draw(options(command))
    if draw(st.integers(0, 99)) == 57:
        command = draw(_text())
    return Case("values", (command, *words), tuple(damages))
