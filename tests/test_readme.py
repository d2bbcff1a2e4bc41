"""What the README and the documentation show works: every command, every snippet, every number."""

import json
import os
import re
import shlex
import warnings
from pathlib import Path

import pytest

from keras_ganvae import architectures
from keras_ganvae.cli.main import build_parser, parse

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")

# Options that make a command small. The last of an option that is given twice wins.
# A GAN takes half the time of a VAE; the Python of the README trains one of these. A given number
# of steps per execution needs no trial.
SMALL_RUN = (
    "--arch gan --dataset synthetic --limit 200 --epochs 1 --batch-size 32 --latent-dim 4"
    " --steps-per-execution 4"
)
SMALL = {
    "train": SMALL_RUN,
    "evaluate": "--samples 200 --features digits",  # others would be trained
    "export": "--formats float16",
}
SMALL_CONFIG = 'dataset="synthetic", limit=200, epochs=1, batch_size=32, steps_per_execution=4'


def _blocks(page, language):
    return [
        text for name, text in BLOCK.findall(page.read_text(encoding="utf-8")) if name == language
    ]


def _commands(page):
    """The commands after `$ ` as lists of words; a backslash continues a line."""
    for block in _blocks(page, "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield shlex.split(line[2:], comments=True)


def _cases():
    for page in PAGES:
        for words in _commands(page):
            yield pytest.param(words, id=f"{page.relative_to(ROOT)}: {shlex.join(words)}")


@pytest.mark.parametrize("words", list(_cases()))
def test_a_command_exists_and_takes_its_options(words):
    program, *arguments = words
    if program == "keras-ganvae":
        assert callable(parse(arguments).run)
    elif program == "tensorboard":
        assert _tensorboard_flags(words).logdir == arguments[arguments.index("--logdir") + 1]
    else:
        assert program.startswith("scripts/") and os.access(ROOT / program, os.X_OK)
        options = {"scripts/quickstart": arguments, "scripts/launch_local": arguments[1:]}
        assert callable(parse(["train", *options.get(program, [])]).run)


def _tensorboard_flags(words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a package inside TensorBoard
        from tensorboard import program

        board = program.TensorBoard()
        board.configure(words)
    return board.flags


def test_pages_have_commands():
    """That the pattern still finds them."""
    assert len(list(_commands(README))) >= 9
    assert len(list(_cases())) >= 40


def _inline_code(page):
    """What stands in backticks, outside of the blocks."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]


def test_options_in_the_text_exist():
    known = {flag for parser in build_parser()[1].values() for flag in parser.flags}
    # Options of other programs.
    theirs = re.compile(r"(?:python )?(?:scripts/|\.venv/|pip |docker |minisign |tensorboard )")
    named = {
        flag
        for page in PAGES
        for code in _inline_code(page)
        if not theirs.match(code)
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", code)
    }
    assert len(named) > 40 and not named - known


def test_scripts_in_the_text_exist():
    named = {
        script
        for page in [*PAGES, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]
        for script in re.findall(r"\bscripts/\w+(?:\.py|\.sh)?", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 12 and not [script for script in named if not (ROOT / script).is_file()]


def test_contributing_knows_every_room():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = [path.parent.name for path in (ROOT / "keras_ganvae").glob("*/__init__.py")]
    assert len(rooms) > 10 and not [room for room in rooms if f"| `{room}/` |" not in text]


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder to work in that has `exports/`, as a clone does."""
    (tmp_path / "exports").symlink_to(ROOT / "exports")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_commands_of_the_readme_run_in_order(command, clone):
    """All but those that wait for a browser or install an environment."""
    ran = []
    for program, name, *arguments in (words for words in _commands(README) if len(words) > 1):
        if program != "keras-ganvae" or name == "demo":
            continue
        code, _, err = command(name, *arguments, *SMALL.get(name, "").split())
        assert code == 0, err
        ran.append(name)
    assert ran == ["train", "evaluate", "export", "verify", "sample"]
    assert (clone / "runs/cvae/evaluation.json").is_file() and (clone / "samples.png").is_file()


@pytest.mark.slow
def test_the_python_of_the_readme_runs(clone):
    training, embedding = _blocks(README, "python")
    small = training.replace('dataset="mnist"', SMALL_CONFIG)
    small = small.replace('"bundles/vae-mnist"', '"bundles/vae-mnist", formats=["float16"]')
    assert SMALL_CONFIG in small and "formats" in small
    names = {}
    exec(small, names)
    assert names["images"].shape == (16, 28, 28, 1)
    assert (clone / "bundles/vae-mnist/model_float16.tflite").is_file()
    exec(embedding, names)
    image = names["image"]
    assert image.shape == (1, 28, 28, 1) and image.dtype == "float32"
    assert 0 <= image.min() < 0.1 and 0.9 < image.max() <= 1


def _results():
    """The rows of the README's table of results, as lists of cells."""
    rows = re.findall(
        r"^\| (?:`(\w+)`|(real images)).*?\| (.*) \|$", README.read_text(), re.MULTILINE
    )
    return {arch or real: cells.split(" | ") for arch, real, cells in rows}


def _shows(cell, value):
    """Whether a cell is a value, rounded to the decimals that it has."""
    decimals = len(cell.partition(".")[2])
    return abs(float(cell) - value) <= 0.5000001 * 10**-decimals


@pytest.mark.parametrize("arch", architectures.names())
def test_the_results_are_those_of_the_exports(arch):
    folder = ROOT / "exports" / f"{arch}-mnist"
    benchmark = json.loads((folder / "benchmark.json").read_text())
    training = json.loads((folder / "model_card.json").read_text())["training"]
    distance, coverage, elbo, size, time = _results()[arch]
    quality, file = benchmark["quality"]["float16"], benchmark["files"]["float16"]
    assert _shows(distance, quality["frechet"]["value"])
    assert _shows(coverage, quality["coverage"]["value"])
    assert _shows(size, file["bytes"] / 1000)
    assert _shows(time, file["speed"][0]["p50_ms"]) and file["speed"][0]["threads"] == 1
    if architectures.kind_of(arch) == "variational":
        assert _shows(elbo, training["final"]["val_loss"])
        assert training["settings"]["binarize"] == "stochastic"
    else:
        assert elbo == "-"
    floor, floor_coverage, *_ = _results()["real images"]
    real = benchmark["quality"]["real images"]
    assert _shows(floor, real["frechet"]["value"])
    assert _shows(floor_coverage, real["coverage"]["value"])


def test_the_readme_fits_150_lines():
    assert len(README.read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", [README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"], ids=str)
def test_links_lead_to_files(page):
    """Those within docs/ are checked when the documentation is built."""
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert links and not [link for link in links if not (ROOT / link).exists()]


def test_the_changelog_and_the_citation_know_the_version():
    import keras_ganvae.runtime

    version = keras_ganvae.runtime.versions()["keras_ganvae"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert version in (ROOT / "CHANGELOG.md").read_text()
