"""The report, from comparisons that `compare` assembles of tiny measured runs."""

import copy
import html
import re
from html.parser import HTMLParser

import pytest

from keras_ganvae.metrics import definitions
from keras_ganvae.metrics.formatting import MINUS
from keras_ganvae.paper import page
from keras_ganvae.paper.metric_table import MetricTable

GANS, VAES = ("gan", "dcgan"), ("vae", "cvae")
SGD = {"vae (paper, SGD)": ("vae", {"optimizer": "sgd"})}


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
        assert "svg" in self.open, f"HTML has no <{tag}/>"
        self.tags.append((tag, dict(attrs)))

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
    """The first number of a text, and half a unit of its last place."""
    digits = re.search(rf"{MINUS}?[\d,]+(\.\d+)?", text)[0].replace(",", "").replace(MINUS, "-")
    places = len(digits.partition(".")[2])
    return float(digits), 0.5 * 10.0**-places if places else 50


def close(text, expected):
    """Whether a text begins with a number, as far as it is written."""
    found, place = number_in(text)
    return found == pytest.approx(expected, abs=1.01 * place)


def section(report, key):
    start, end = report.index(f'<section id="{key}">'), "</section>"
    return report[start : report.index(end, start) + len(end)]


@pytest.fixture(scope="module")
def results(comparison):
    return comparison()


@pytest.fixture(scope="module")
def report(results):
    return page.render(results)


@pytest.fixture(scope="module")
def shown(report):
    return Reader(report)


VARIANTS = {
    "everything": {},
    "one model": {"archs": ("dcgan",), "ablations": {}, "seeds": 1},
    "no vae": {"archs": GANS, "ablations": {}},
    "no gan": {"archs": VAES, "ablations": {}, "seeds": 1, "epochs": 1},
    "grey pixels": {"archs": ("cvae",), "ablations": {}, "binarize": ("threshold", "none")},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_is_one_valid_file_without_scripts(comparison, variant):
    report = page.render(comparison(**variant))
    reader = Reader(report)
    ids = reader.values("id")
    assert len(ids) == len(set(ids))
    references = reader.values("href") + re.findall(r"url\((.*?)\)", report)
    assert {each.strip("\"'") for each in references} <= {f"#{each}" for each in ids}
    assert all(source.startswith("data:image/png;base64,") for source in reader.values("src"))
    assert "://" not in report
    assert not {tag for tag, _ in reader.tags} & {"script", "link", "iframe", "object"}


def test_the_same_results_give_the_same_bytes_and_are_not_changed(results, report):
    before = copy.deepcopy(results)
    assert page.render(results) == report
    assert results == before


def test_opens_with_the_samples_of_each_model_and_their_metrics(report, results):
    cards = section(report, "samples").split('<figure class="card">')[1:]
    for card, model in zip(cards, results["models"], strict=True):
        assert model["label"] in card
        assert model["pictures"]["fresh"] in card
        text = re.sub(r"<[^>]*>", "", card)
        for name in ("frechet", "coverage"):
            metric = definitions.SAMPLES[name]
            value, floor = text.split(metric.name)[1].split("floor")[:2]
            assert close(value, model["samples"]["normal"][name]["value"])
            assert close(floor, results["floor"][name]["value"])
            assert "±" in value and "±" in floor


def test_samples_come_from_the_prior_that_the_model_uses(comparison):
    results = comparison(archs=("vae",), ablations={})
    (model,) = results["models"]
    model["settings"]["sampling_prior"] = "mixture"
    card = section(page.render(results), "samples")
    assert model["pictures"]["mixture"] in card and model["pictures"]["fresh"] not in card
    assert close(
        re.sub(r"<[^>]*>", "", card).split("Fréchet distance")[1],
        model["samples"]["mixture"]["frechet"]["value"],
    )


def test_the_protocol_is_complete(shown, results):
    protocol = results["protocol"]
    data, features = protocol["data"], protocol["features"]
    wanted = [
        "28 \N{MULTIPLICATION SIGN} 28",
        f"{data['train']} training images",
        f"{data['test']} test images",
        f"{protocol['samples']} from each prior",
        "k = 5",
        f"{features['dimensions']} dimensions",
        features["hash"][:12],
        features["note"],
        data["fingerprint"][:12],
        "stochastic",
        "N(0, I)",
        "0, 1, 2",
        *(f"{name} {version}" for name, version in protocol["versions"].items()),
    ]
    for each in wanted:
        assert each in shown.text


def test_every_claim_has_its_verdict(report, results):
    for claim in results["claims"]:
        entry = report[report.index(f'id="claim-{claim["number"]}"') :]
        summary = html.unescape(entry[: entry.index("</summary>")])
        assert f"{claim['number']}. {claim['claim']}" in summary
        assert f"badge {claim['verdict'].replace(' ', '-')}" in summary


def test_an_untested_claim_says_what_it_needs(comparison):
    results = comparison(archs=("vae",), ablations={})
    needs = {claim["needs"] for claim in results["claims"] if "needs" in claim}
    text = read(results).text
    assert needs and all(f"Not tested: this needs {each}." in text for each in needs)


def test_every_part_of_a_claim_has_its_numbers(shown, results):
    parts = [part for claim in results["claims"] for part in claim["parts"]]
    assert parts
    for part in parts:
        (_, verdict, margin, uncertainty, values), _ = shown.row(part["says"])
        assert close(margin, part["margin"])
        if abs(part["margin"]) > 0.01:
            assert margin[0] == (MINUS if part["margin"] < 0 else "+")
        if part["uncertainty"] is None:
            assert uncertainty == "unknown"
        else:
            assert number_in(uncertainty)[0] == pytest.approx(part["uncertainty"], rel=0.1)
            assert uncertainty.endswith("over seeds")
        assert verdict.strip() == part["verdict"]
        for label, each in part["values"].items():
            assert close(re.search(rf"(?<!\w){re.escape(label)}: (.*)", values)[1], each["value"])


def test_a_single_run_s_errors_are_over_images(comparison):
    results = comparison(archs=GANS, ablations={}, seeds=1)
    (part,) = results["claims"][0]["parts"]
    cells, _ = read(results).row(part["says"])
    assert cells[3].endswith("over images")


def _columns(results):
    """The numbers in the order of the table's columns."""
    return [results["floor"]] + [
        numbers for model in results["models"] for numbers in model["samples"].values()
    ]


@pytest.mark.parametrize("name", definitions.SAMPLES)
def test_every_number_is_in_the_table_with_its_error(report, results, name):
    cells, bold = Reader(section(report, "numbers")).row(definitions.SAMPLES[name].name)
    for cell, numbers in zip(cells[1:], _columns(results), strict=True):
        if name not in numbers:
            assert cell.strip() == "\N{EN DASH}"
            continue
        value, error = cell.split(" ± ")
        assert close(value, numbers[name]["value"])
        assert number_in(error)[0] == pytest.approx(numbers[name]["error"], rel=0.06)
    assert {place - 2 for place in bold} == MetricTable.of(
        definitions.SAMPLES,
        [("", "", "", numbers) for numbers in _columns(results)[1:]],
        "",
        "",
    ).rows[list(definitions.SAMPLES).index(name)].best


def test_every_metric_is_explained(shown):
    for name, metric in definitions.SAMPLES.items():
        assert f"note-{name}" in shown.values("id")
        assert " ".join(metric.what.split()) in shown.text


def test_an_unknown_metric_is_shown_under_its_own_name(comparison):
    results = comparison(archs=("gan",), ablations={})
    results["models"][0]["samples"]["normal"]["new_thing"] = {"value": 4.25, "error": 0.5}
    cells, bold = read(results).row("new thing")
    assert close(cells[-1], 4.25) and "± 0.50" in cells[-1] and not bold


def test_likelihoods_have_a_table_for_each_binarization(comparison):
    names = ("stochastic", "threshold")
    results = comparison(archs=VAES, ablations={}, binarize=names)
    reader = read(results)
    rows = [row for row in reader.rows if row[0].startswith(definitions.LIKELIHOOD["bound"].name)]
    for row, name in zip(rows, names, strict=True):
        for cell, model in zip(row[1:], results["models"], strict=True):
            assert close(cell, model["likelihood"][name]["bound"]["value"])
    for model in results["models"]:
        for value in model["likelihood"]["threshold"]["kl_per_dimension"]:
            assert any(f"{value:.2f}" in label for label in reader.values("aria-label"))
    cells, _ = next(
        (row, bold)
        for row, bold in zip(reader.rows, reader.bold, strict=True)
        if row[0].startswith(definitions.LIKELIHOOD["active_units"].name)
    )
    assert close(cells[1], results["models"][0]["likelihood"]["stochastic"]["active_units"])


def test_grey_pixels_have_no_bound(comparison):
    reader = read(comparison(archs=("vae",), ablations={}, binarize=("none",)))
    name = definitions.LIKELIHOOD["bound"].name
    assert not any(row[0].startswith(name) for row in reader.rows)
    assert "not a likelihood" in reader.text


def test_numbers_may_lack_errors_and_classes(comparison):
    results = comparison(ablations={}, seeds=1)
    for numbers in _columns(results):
        for name in ("modes", "class_kl", "confidence"):
            del numbers[name]
        for found in numbers.values():
            found["error"] = None
    table = Reader(section(page.render(results), "numbers"))
    assert not any(row[0].startswith(definitions.SAMPLES["modes"].name) for row in table.rows)
    assert not any("±" in cell for row in table.rows[2:] for cell in row)


def test_every_run_cost_and_command_is_shown(shown, results):
    for model in results["models"]:
        for run in model["runs"]:
            assert f"{run['name']} (seed {run['seed']}" in shown.text
        for count in model["runs"][0]["cost"]["parameters"].values():
            assert f"{count:,}" in shown.text
    for command in results["commands"]:
        assert command in shown.text


def test_every_picture_is_shown_with_a_text_alternative(comparison):
    results = comparison(ablations={})
    images = [attributes for tag, attributes in read(results).tags if tag == "img"]
    assert all(attributes["alt"] for attributes in images)
    sources = {attributes["src"] for attributes in images}
    for model in results["models"]:
        for name, source in model["pictures"].items():
            assert source in sources or (name == "fixed" and model["variational"])


def test_a_figure_names_the_models_that_it_lacks(comparison):
    text = read(comparison(archs=("gan",), ablations={})).text
    assert text.count("Not among these models: a run of dcgan.") == 2
    assert "Not among these models: a run of vae or a run of cvae." in text


def test_figures_show_the_usual_model(comparison):
    results = comparison(archs=("vae",), ablations=SGD)
    results["models"].reverse()
    for name in ("originals", "reconstructions", "fresh"):
        results["models"][0]["pictures"][name] += "SGD"
    figure = section(page.render(results), "figure-3")
    usual = results["models"][1]["pictures"]
    assert re.findall('src="(.*?)"', figure) == [
        usual[name] for name in ("originals", "reconstructions", "fresh")
    ]


def test_strings_are_escaped(comparison):
    hostile = '<script>alert("x")</script>&amp;\'"</pre>'
    results = comparison(archs=("gan", "vae"), ablations={}, seeds=1)
    for model in results["models"]:
        model["label"] = model["runs"][0]["name"] = hostile
    results["commands"] = [hostile]
    results["protocol"]["data"]["name"] = hostile
    results["protocol"]["features"]["note"] = hostile
    results["claims"][3] |= {"claim": hostile, "verdict": hostile, "source": hostile}
    results["claims"][8]["parts"][0] |= {
        "says": hostile,
        "values": {hostile: {"value": 1.5, "error": None, "error_over": None}},
    }
    reader = read(results)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert reader.text.count(hostile) >= 12


def test_the_gradients_are_drawn_in_their_claim(report):
    claims = section(report, "claims").split("<details")
    (drawn,) = (each for each in claims if "<svg" in each)
    assert 'id="claim-9"' in drawn and drawn.count("<svg") == 1
