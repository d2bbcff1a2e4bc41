"""The documentation: it builds without a warning, is complete, and asks for nothing outside."""

import dataclasses
import html.parser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keras_ganvae import architectures
from keras_ganvae.cli.main import build_parser
from keras_ganvae.config import TrainConfig

pytest.importorskip("mkdocs", reason="the extra docs is not installed")

ROOT = Path(__file__).parents[1]
# Tags whose address a browser fetches by itself; it follows those of <a> only when asked to.
FETCHED = {"audio", "embed", "iframe", "img", "link", "object", "script", "source", "video"}
OUTSIDE = re.compile(r"^(?:https?:)?//")
CSS_ADDRESS = re.compile(r"(?:url\(|@import\s*)[\"']?((?:https?:)?//[^\"')]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder that `mkdocs build --strict` writes."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


class _Page(html.parser.HTMLParser):
    """What a page fetches, the text that it shows, and its anchors."""

    def __init__(self, path):
        super().__init__()
        self.fetched, self.classes, self.ids, self.words = [], set(), set(), []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        found = {name: value or "" for name, value in attrs}
        self.ids.add(found.get("id"))
        self.classes |= set(found.get("class", "").split())
        if tag in FETCHED:
            self.fetched += [found[name] for name in ("src", "href", "data") if name in found]
            self.fetched += [each.split()[0] for each in found.get("srcset", "").split(",") if each]

    def handle_data(self, data):
        self.words.append(data)


def _pages(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    return pages


def test_no_page_asks_for_anything_outside(site):
    for path in _pages(site):
        page = _Page(path)
        assert page.fetched and not [each for each in page.fetched if OUTSIDE.match(each)], path
        # The theme fetches the scripts that draw diagrams and formulas from elsewhere.
        assert not page.classes & {"mermaid", "arithmatex"}, path
    for path in site.rglob("*.css"):
        assert not CSS_ADDRESS.findall(path.read_text(encoding="utf-8")), path


def test_every_command_is_shown_as_it_helps(site, monkeypatch):
    page = _Page(site / "reference" / "commands.html")
    monkeypatch.setenv("COLUMNS", "78")
    for name, parser in build_parser()[1].items():
        assert name in page.ids
        assert " ".join(parser.format_help().split()) in page.text


def test_every_setting_has_its_meaning_and_its_values(site):
    page = _Page(site / "reference" / "settings.html")
    for field in dataclasses.fields(TrainConfig):
        assert f"{field.name} {field.metadata['help']}" in page.text, field.name
    for arch in architectures.names():
        assert arch in page.ids
    # A preset's value, and the reason above it.
    assert "beta_1: Radford et al. 2016 (DCGAN): training oscillates at 0.9." in page.text
    assert "batch_size, learning_rate: Larger batches use the cores better" in page.text


def test_the_python_reference_has_signatures_and_arguments(site):
    page = _Page(site / "reference" / "python.html")
    for name in ("training.train.train", "runs.run.Run.open", "bundle.build.export"):
        assert f"keras_ganvae.{name}" in page.ids
    assert "time between checkpoints inside an epoch" in page.text


def test_the_equations_stand_beside_their_code(site):
    page = _Page(site / "explanation" / "equations.html")
    assert "Equation (6), the minimax generator loss" in page.text
    assert "return -ops.squeeze(ops.softplus(fake_logits), axis=-1)" in page.text


def test_the_protocol_defines_every_metric(site):
    from keras_ganvae.metrics.definitions import LIKELIHOOD, SAMPLES

    page = _Page(site / "explanation" / "protocol.html")
    for metric in (*SAMPLES.values(), *LIKELIHOOD.values()):
        assert " ".join(metric.what.split()) in page.text, metric.name


def test_the_schema_of_the_card_is_part_of_the_site(site):
    schema = ROOT / "keras_ganvae" / "bundle" / "model_card.schema.json"
    assert (site / schema.name).read_bytes() == schema.read_bytes()
    assert f'href="{schema.name}"' in (site / "model-card.html").read_text(encoding="utf-8")
