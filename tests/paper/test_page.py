"""The page of a comparison, from made-up results of the shape that `compare` writes."""

import base64
import copy
import io
import itertools
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from keras_ganvae import TrainConfig, architectures
from keras_ganvae.metrics import definitions as metrics
from keras_ganvae.paper import page
from keras_ganvae.paper.claims import CLAIMS

GANS = ("gan", "dcgan")
VAES = ("vae", "cvae")
SMALL = {
    "gan (paper, no dropout)": ("gan", {"dropout": False}),
    "gan (paper, saturating loss)": ("gan", {"generator_loss": "saturating"}),
    "gan (paper, SGD)": ("gan", {"optimizer": "sgd"}),
    "vae (paper, SGD)": ("vae", {"optimizer": "sgd"}),
}
# Near what short runs of the paper's layers gave.
TYPICAL = {
    "frechet": (320, 4.1),
    "kernel": (8.4, 0.31),
    "precision": (0.62, 0.011),
    "recall": (0.31, 0.02),
    "density": (0.48, 0.012),
    "coverage": (0.17, 0.009),
    "modes": (9.3, 0.33),
    "class_kl": (0.21, 0.03),
    "confidence": (0.93, 0.004),
    "sharpness": (0.55, 0.003),
    "isolated_pixels": (3.2, 0.4),
    "nearest_training": (5.6, 0.05),
    "smoothness": (0.91, 0.012),
}
MINUS = "\N{MINUS SIGN}"
LABELLED = ("modes", "class_kl", "confidence")


def comparison(archs=GANS + VAES, small=SMALL, seeds=3, epochs=12, binarize=("stochastic",)):
    """Results of the paper's models and of small runs; `archs` and `small` may be empty."""
    random = np.random.default_rng(0)
    chosen = {f"{arch} (paper)": (arch, {}) for arch in archs} | small
    models = [
        _model(random, label, arch, settings, seeds, epochs, binarize)
        for label, (arch, settings) in chosen.items()
    ]
    floor = {name: _near(random, name, 0.1) for name in TYPICAL if name != "smoothness"}
    return {
        "schema": "keras-ganvae/comparison",
        "schema_version": 1,
        "protocol": _protocol(binarize),
        "commands": [
            *(
                f"keras-ganvae train --preset paper --arch {m['arch']} --out runs/{run['name']}"
                for m in models
                for run in m["runs"]
            ),
            "keras-ganvae compare runs/* --out runs/report",
        ],
        "floor": floor,
        "models": models,
        "gradients": [_fading(random) for _ in range(seeds)] if "gan" in archs else [],
        "claims": [_claim(random, number) for number in range(1, len(CLAIMS) + 1)],
    }


def _protocol(binarize):
    return {
        "samples": 10_000,
        "floor_images": 10_000,
        "neighbours": 5,
        "importance_samples": 1_000,
        "bound_images": 1_000,
        "binarize": list(binarize),
        "features": {
            "name": "digits",
            "hash": "9f2c41d07ab8" + "0" * 52,
            "dimensions": 128,
            "note": "99.3 % of MNIST's test images told right",
        },
        "seed": 0,
        "data": {
            "name": "mnist",
            "fingerprint": "c0ffee123456" + "0" * 52,
            "image_shape": [28, 28, 1],
            "train": 55_000,
            "test": 10_000,
        },
        "split": "test",
        "versions": {"python": "3.11.8", "keras_ganvae": "0.1.0", "tensorflow": "2.21.0"},
    }


def _model(random, label, arch, settings, seeds, epochs, binarize):
    config = architectures.resolve(TrainConfig(arch=arch, preset="paper", **settings))
    variational = arch in VAES
    history = _elbo_history if variational else _game_history
    names = ("encoder", "decoder") if variational else ("generator", "discriminator")
    priors = ("normal", "mixture") if variational else ("normal",)
    pictures = ["fixed", "fresh", "walks", "traversals"]
    pictures += ["originals", "reconstructions", "mixture"] if variational else []
    return {
        "label": label,
        "arch": arch,
        "preset": "paper",
        "variational": variational,
        "settings": config.to_dict(),
        "runs": [
            {
                "name": f"{arch}-{len(label)}-{seed}",
                "seed": seed,
                "model_hash": f"{random.integers(2**48):012x}" * 5,
                "history": history(random, epochs),
                "cost": {
                    "parameters": {name: int(random.integers(1e5, 2e6)) for name in names},
                    "multiply_adds": float(random.uniform(1, 150)),
                    "seconds_per_epoch": float(random.uniform(5, 200)),
                    "epochs": epochs,
                },
            }
            for seed in range(seeds)
        ],
        "samples": {
            prior: {name: _near(random, name, 0.3) for name in TYPICAL} for prior in priors
        },
        "likelihood": {name: _likelihood(random, name) for name in binarize if variational},
        "pictures": {name: _picture(random) for name in pictures},
    }


def _near(random, name, spread):
    value, error = TYPICAL[name]
    return {"value": value * float(random.uniform(1 - spread, 1 + spread)), "error": error}


def _likelihood(random, binarization):
    reconstruction, kl = random.normal(118, 2), random.normal(9.8, 0.2)
    found = {
        "negative_elbo": {"value": reconstruction + kl, "error": 0.27},
        "reconstruction": {"value": reconstruction, "error": 0.26},
        "kl": {"value": kl, "error": 0.021},
        "kl_per_dimension": [kl * share for share in (0.31, 0.36, 0.33)],
    }
    if binarization != "none":
        found["bound"] = {"value": reconstruction + 0.8 * kl, "error": 0.25}
    return found


def _game_history(random, epochs):
    return [
        {
            "epoch": epoch,
            "seconds": 9.1,
            "images_per_second": 6043.0,
            **{
                f"{split}{name}": end + (start - end) * 0.9**epoch + random.normal(0, 0.02)
                for split in ("", "val_")
                for name, start, end in (
                    ("generator_loss", 2.4, 1.05),
                    ("discriminator_loss", 0.6, 1.2),
                    ("real_accuracy", 0.9, 0.55),
                    ("fake_accuracy", 0.95, 0.67),
                    ("accuracy", 0.92, 0.6),
                )
            },
        }
        for epoch in range(1, epochs + 1)
    ]


def _elbo_history(random, epochs):
    rows = []
    for epoch in range(1, epochs + 1):
        row = {"epoch": epoch, "seconds": 7.2, "images_per_second": 7600.0}
        for split in ("", "val_"):
            kl = 9.8 - 5 * 0.8**epoch + random.normal(0, 0.05)
            reconstruction = 117 + 80 * 0.8**epoch + random.normal(0, 0.3)
            row |= {f"{split}kl": kl, f"{split}reconstruction": reconstruction}
            row[f"{split}loss"] = kl + reconstruction
        rows.append(row)
    return rows


def _fading(random):
    probabilities = np.geomspace(0.5, 0.009, 20)
    return [
        {
            "fake_probability": float(p),
            "saturating": float(p * random.uniform(0.9, 1.1)),
            "non_saturating": float((1 - p) * random.uniform(0.9, 1.1)),
        }
        for p in probabilities
    ]


def _picture(random):
    file = io.BytesIO()
    Image.fromarray(random.integers(256, size=(58, 58), dtype=np.uint8)).save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _claim(random, number):
    source, title, _ = CLAIMS[number - 1]
    claim = {"number": number, "source": source, "claim": title}
    if number == len(CLAIMS):
        needs = "a run of vae, optimizer sgd"
        return claim | {"verdict": "not tested", "parts": [], "needs": needs}
    verdict = ("holds", "does not hold", "undecided")[number % 3]
    uncertainty = None if verdict == "undecided" else 0.0231
    part = {
        "says": f"statistic {number} of the images, per image: lower in dcgan than in gan",
        "margin": -0.4173 if verdict == "does not hold" else 0.0173 * number,
        "uncertainty": uncertainty,
        "verdict": verdict,
        "values": {
            "dcgan (paper)": {"value": float(random.uniform(1, 2)), "error": 0.0123},
            "gan (paper)": {"value": float(random.uniform(1, 2)), "error": None},
        },
    }
    return claim | {"verdict": verdict, "parts": [part]}


class Reader(HTMLParser):
    """What a browser would see: text, attributes, table cells, and tags left open."""

    VOID = ("meta", "img")

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.rows, self.bold = [], []
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.bold.append(set())
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "strong":
            self.bold[-1].add(len(self.rows[-1]) - 1)

    def handle_startendtag(self, tag, attrs):
        raise AssertionError(f"HTML has no <{tag}/>")

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def values(self, attribute):
        return [attrs[attribute] for _, attrs in self.tags if attrs.get(attribute) is not None]

    def row(self, first):
        """Cells of the one row that begins so, and the places of those in bold."""
        found = [i for i, row in enumerate(self.rows) if row and row[0].startswith(first)]
        assert len(found) == 1, f"{len(found)} rows begin with {first!r}"
        return self.rows[found[0]], self.bold[found[0]]


def read(results):
    return Reader(page.render(results))


def number_in(text):
    """The first number of a text, and half of its last place."""
    digits = re.search(rf"{MINUS}?[\d,]+(\.\d+)?", text)[0].replace(",", "").replace(MINUS, "-")
    places = len(digits.partition(".")[2])
    return float(digits), 0.5 * 10.0**-places if places else 50


VARIANTS = {
    "everything": {},
    "one model": {"archs": ("dcgan",), "small": {}, "seeds": 1},
    "no vae": {"archs": GANS, "small": {}},
    "no gan": {"archs": VAES, "small": {}, "seeds": 1, "epochs": 1},
    "grey pixels": {"archs": ("cvae",), "small": {}, "binarize": ("threshold", "none")},
}


@pytest.fixture(scope="module")
def results():
    return comparison()


@pytest.fixture(scope="module")
def html(results):
    return page.render(results)


@pytest.fixture(scope="module")
def shown(html):
    return Reader(html)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_is_one_sound_file(variant):
    html = page.render(comparison(**variant))
    reader = Reader(html)
    ids = reader.values("id")
    assert len(ids) == len(set(ids))
    references = reader.values("href") + re.findall(r"url\((.*?)\)", html)
    assert {each.strip("\"'") for each in references} <= {f"#{each}" for each in ids}
    assert all(source.startswith("data:image/png;base64,") for source in reader.values("src"))
    assert "://" not in html
    assert not {tag for tag, _ in reader.tags} & {"script", "link", "iframe", "object"}


def test_the_same_results_give_the_same_bytes_and_stay_as_they_are(results, html):
    before = copy.deepcopy(results)
    assert page.render(results) == html
    assert results == before


def test_says_what_was_measured_by_what(shown, results):
    asked = results["protocol"]
    wanted = [
        "28 \N{MULTIPLICATION SIGN} 28",
        "55,000",
        "10,000",
        "1,000",
        "k = 5",
        "128 dimensions",
        "9f2c41d07ab8",
    ]
    wanted += ["c0ffee123456", "stochastic", "N(0, I)", "0, 1, 2", asked["features"]["note"]]
    wanted += [f"{name} {version}" for name, version in asked["versions"].items()]
    for each in wanted:
        assert each in shown.text


def test_every_claim_stands_in_the_summary_and_in_its_section(shown, results):
    for claim in results["claims"]:
        assert shown.text.count(f"{claim['number']}. {claim['claim']}") == 2
        assert f"#claim-{claim['number']}" in shown.values("href")
        assert f"claim-{claim['number']}" in shown.values("id")
    badges = [attrs["class"] for tag, attrs in shown.tags if attrs.get("class", "")[:5] == "badge"]
    assert badges[: len(results["claims"])] == [
        f"badge {claim['verdict'].replace(' ', '-')}" for claim in results["claims"]
    ]
    assert "it needs a run of vae, optimizer sgd" in shown.text


def test_every_part_of_a_claim_has_its_numbers(shown, results):
    parts = [part for claim in results["claims"] for part in claim["parts"]]
    for part in parts:
        (_, verdict, margin, uncertainty, values), _ = shown.row(part["says"])
        found, place = number_in(margin)
        assert found == pytest.approx(part["margin"], abs=place)
        assert margin[0] == (MINUS if part["margin"] < 0 else "+")
        if part["uncertainty"] is None:
            assert uncertainty == "unknown"
        else:
            assert number_in(uncertainty)[0] == pytest.approx(part["uncertainty"], abs=1e-3)
        assert verdict == part["verdict"]
        for label, each in part["values"].items():
            found, place = number_in(re.search(rf"\b{re.escape(label)}: (.*)", values)[1])
            assert found == pytest.approx(each["value"], abs=place)


def _columns(results):
    """The numbers in the order of the table's columns."""
    return [results["floor"]] + [
        numbers for model in results["models"] for numbers in model["samples"].values()
    ]


@pytest.mark.parametrize("name", TYPICAL)
def test_every_number_is_in_the_table_with_its_error(shown, results, name):
    cells, _ = shown.row(f"{metrics.SAMPLES[name].name}{list(TYPICAL_ORDER).index(name) + 1}")
    for cell, numbers in zip(cells[1:], _columns(results), strict=True):
        if name not in numbers:
            assert cell == "\N{EN DASH}"
            continue
        value, error = cell.split(" ± ")
        found, place = number_in(value)
        assert found == pytest.approx(numbers[name]["value"], abs=place)
        assert number_in(error)[0] == pytest.approx(numbers[name]["error"], rel=0.05)


TYPICAL_ORDER = [name for name in metrics.SAMPLES if name in TYPICAL]


@pytest.mark.parametrize("name", TYPICAL)
def test_the_best_is_bold_and_nothing_else(shown, results, name):
    metric = metrics.SAMPLES[name]
    _, bold = shown.row(f"{metric.name}{TYPICAL_ORDER.index(name) + 1}")
    values = [numbers[name]["value"] for numbers in _columns(results)[1:]]
    if metric.better is None:
        assert bold == set()
    else:
        extreme = (min if metric.better == "lower" else max)(values)
        assert bold == {values.index(extreme) + 2}  # after the name and the floor


def test_equals_are_bold_alike():
    results = comparison(small={})
    samples = [each for model in results["models"] for each in model["samples"].values()]
    for i, each in enumerate(samples):
        each["modes"] = {"value": 10.0 if i in (1, 4) else 9.0, "error": 0.0}
    cells, bold = read(results).row("modes covered")
    assert bold == {3, 6}
    assert cells[3] == "10 ± 0"


def test_what_is_not_finite_is_never_the_best():
    label = "gan (paper, SGD)"
    results = comparison(archs=GANS, small={label: SMALL[label]})
    for model, value in zip(results["models"], (float("nan"), 3.5, 4.0), strict=True):
        model["samples"]["normal"]["frechet"] = {"value": value, "error": None}
    cells, bold = read(results).row("Fréchet distance")
    assert (cells[2:], bold) == (["nan", "3.500", "4"], {3})


def test_a_single_model_is_not_called_the_best():
    reader = read(comparison(archs=("gan",), small={}))
    assert not set().union(*reader.bold)


def test_every_metric_has_a_footnote_and_a_direction(shown):
    for name in TYPICAL:
        metric = metrics.SAMPLES[name]
        assert f"note-{name}" in shown.values("id")
        assert metric.what in shown.text
        cells, _ = shown.row(f"{metric.name}{TYPICAL_ORDER.index(name) + 1}")
        assert (f"{metric.better} is better" in cells[0]) == (metric.better is not None)


def test_an_unknown_number_is_shown_under_its_own_name():
    results = comparison(archs=("gan",), small={})
    results["models"][0]["samples"]["normal"]["new_thing"] = {"value": 4.25, "error": 0.5}
    cells, bold = read(results).row("new thing")
    assert (cells[-1], bold) == ("4.25 ± 0.50", set())


def test_likelihoods_stand_by_binarization():
    results = comparison(archs=VAES, small={}, binarize=("stochastic", "threshold"))
    reader = read(results)
    rows = [row for row in reader.rows if row[0].startswith("IWAE bound")]
    for row, name in zip(rows, ("stochastic", "threshold"), strict=True):
        for cell, model in zip(row[1:], results["models"], strict=True):
            found, place = number_in(cell)
            assert found == pytest.approx(model["likelihood"][name]["bound"]["value"], abs=place)
    for model in results["models"]:
        for value in model["likelihood"]["threshold"]["kl_per_dimension"]:
            assert any(f"{value:.2f}" in label for label in reader.values("aria-label"))


def test_grey_pixels_have_no_bound():
    reader = read(comparison(archs=("vae",), small={}, binarize=("none",)))
    assert not any(row[0].startswith("IWAE") for row in reader.rows)
    assert "no likelihood" in reader.text


def test_active_units_are_shown_where_they_are_known():
    results = comparison(archs=("vae",), small={})
    results["models"][0]["likelihood"]["stochastic"]["active_units"] = 3
    cells, _ = read(results).row("active units")
    assert cells[1] == "3"


@pytest.mark.parametrize("missing", ["error", "labels"])
def test_does_without(missing):
    results = comparison(small={}, seeds=1)
    sections = [numbers for model in results["models"] for numbers in model["samples"].values()]
    for numbers in [*sections, results["floor"]]:
        if missing == "labels":
            for name in LABELLED:
                del numbers[name]
        else:
            for found in numbers.values():
                found["error"] = None
    reader = read(results)
    table = [row for row in reader.rows if len(row) == len(sections) + 2]
    shown = "".join(itertools.chain.from_iterable(table))
    if missing == "labels":
        assert "modes covered" not in shown
    else:
        assert "±" not in shown


def test_every_run_cost_and_command_is_shown(shown, results):
    for model in results["models"]:
        for run in model["runs"]:
            assert f"{run['name']} (seed {run['seed']}" in shown.text
        for count in model["runs"][0]["cost"]["parameters"].values():
            assert f"{count:,}" in shown.text
    for command in results["commands"]:
        assert command in shown.text


def test_shows_every_picture_with_words_for_it(shown, results):
    images = [attrs for tag, attrs in shown.tags if tag == "img"]
    assert all(attrs["alt"] for attrs in images)
    sources = {attrs["src"] for attrs in images}
    for model in results["models"]:
        assert set(model["pictures"].values()) <= sources


def test_a_figure_names_the_models_that_it_lacks():
    text = read(comparison(archs=("gan",), small={})).text
    assert text.count("Not among these models: a run of dcgan.") == 2
    assert "Not among these models: a run of vae or a run of cvae." in text


def test_figures_show_the_paper_s_settings_first():
    results = comparison(archs=("vae",), small={"vae (paper, SGD)": SMALL["vae (paper, SGD)"]})
    results["models"].reverse()
    html = page.render(results)
    figure = html[html.index('id="figure-3"') : html.index('id="figure-4"')]
    vae = results["models"][1]["pictures"]
    assert re.findall('src="(.*?)"', figure) == [
        vae[name] for name in ("originals", "reconstructions", "fresh")
    ]


def test_strings_are_escaped():
    nasty = '<script>alert("x")</script>&amp;\'"</pre>'
    results = comparison(archs=("gan", "vae"), small={}, seeds=1)
    for model in results["models"]:
        model["label"] = model["runs"][0]["name"] = nasty
    results["commands"] = [nasty]
    results["protocol"]["data"]["name"] = nasty
    results["protocol"]["features"]["note"] = nasty
    results["claims"][0] |= {"claim": nasty, "verdict": nasty, "source": nasty}
    results["claims"][0]["parts"][0] |= {
        "says": nasty,
        "values": {nasty: {"value": 1.5, "error": None}},
    }
    reader = read(results)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert reader.text.count(nasty) >= 12


def test_draws_the_gradients_in_the_claim_that_they_are_about(html):
    claim = html[html.index('id="claim-9"') : html.index('id="claim-10"')]
    assert claim.count("<svg") == 1
    assert "<svg" not in html[html.index('id="claim-8"') : html.index('id="claim-9"')]
