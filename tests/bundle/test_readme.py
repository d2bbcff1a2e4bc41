"""The README of a bundle: complete, readable, and of this model."""

import dataclasses
import re

import pytest

from keras_ganvae.bundle import card as cards
from keras_ganvae.bundle import readme

KINDS = {
    "vae with a mixture": {"prior": (3, 5), "variational": True, "image_shape": (28, 28, 1)},
    "colour gan": {"prior": None, "variational": False, "image_shape": (10, 14, 3)},
}


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS.keys())
def card(request, make_facts, mixture):
    prior = request.param["prior"] and mixture(*request.param["prior"])
    return cards.build(make_facts(**request.param | {"prior": prior}))


@pytest.fixture(scope="module")
def text(card):
    return readme.render(card)


def without(card, *names):
    """The card of a bundle that was exported without some files."""
    files = {name: entry for name, entry in card["files"].items() if name not in names}
    signatures = {
        name: each | {"files": [file for file in each["files"] if file in files]}
        for name, each in card["signatures"].items()
    }
    kept = {name: each for name, each in signatures.items() if each["files"]}
    return cards.validate(cards.sealed(card | {"files": files, "signatures": kept}))


def test_no_template_syntax_is_left(text):
    assert not re.search(r"{%|%}|{{ (?!uri|width: 280)", text)


def test_every_file_and_signature_is_named(card, text):
    for name in [*cards.MODELS, *card["signatures"]]:
        assert f"| `{name}`" in text


def test_text_keeps_to_80_columns_and_code_to_100(text):
    parts = text.split("```")
    prose, code = "".join(parts[::2]).splitlines(), "".join(parts[1::2]).splitlines()
    assert max(len(line) for line in prose if not line.startswith("|")) <= 82
    assert max(map(len, code)) <= 100


def test_code_fences_and_details_are_closed(text):
    assert text.count("```") % 2 == 0
    assert text.count("<details>\n<summary>") == text.count("\n</details>") == 6
    assert "\n\n\n" not in re.sub(r"```.*?```", "code", text, flags=re.DOTALL)


def test_each_integration_names_the_version_it_was_written_for(text):
    sections = re.findall(r"<summary>(.*?)</summary>\n\n(.*)", text)
    assert len(sections) == len(readme.INTEGRATIONS)
    for heading, first in sections:
        assert re.match(r"Written for .*\d+\.\d+\.\d+", first), heading


def test_the_latent_is_described(card, text):
    mixture = card["latent"]["distribution"] == "mixture"
    words = " ".join(text.split())
    assert ("mixture of 3 Gaussians" in words) == mixture
    assert ("sample z as 3 independent" in words) == (not mixture)
    assert ("model_card.json` to `assets/`" in words) == mixture


def test_grey_and_colour_take_different_code(card, text):
    colour = card["image"]["shape"][2] == 3
    for code in ("level(3 * it + 1)", "CGColorSpaceCreateDeviceRGB", "pixels[3 * i + c]"):
        assert (code in text) == colour
    for code in ("level(it)", "CGColorSpaceCreateDeviceGray", "255 * pixels[i]"):
        assert (code in text) != colour


def test_without_the_sampler_its_recipes_are_left_out(card):
    text = readme.render(without(card, "sampler.tflite"))
    assert "<summary>Flutter" in text
    assert "<summary>React Native" in text
    assert text.count("<details>") == 2
    assert "which this bundle does not have" in " ".join(text.split())
    assert "\n- `model_float16.tflite` decodes latents into images.\n\n" in text


def test_the_sampler_can_be_the_only_model(card):
    models = [name for name in cards.MODELS if name != "sampler.tflite"]
    sampler = {"file": "sampler.tflite", "reason": "the only model file"}
    text = readme.render(without(card | {"recommended": sampler}, *models))
    assert "is recommended" not in text
    assert 'Interpreter("sampler.tflite").get_signature_runner("decode")' in text


def test_without_golden_numbers_and_picture_they_are_not_mentioned(card):
    text = readme.render(without(card, "golden.npz", "samples.png"))
    assert "golden.npz" not in text
    assert "samples.png" not in text


def test_a_note_says_what_a_delegate_leaves_out(make_facts):
    text = readme.render(cards.build(make_facts()))
    assert re.search(r"\| `model.tflite` +\| whole graph \| whole graph \| note 1 +\|", text)
    assert "\n1. TRANSPOSE_CONV is left to the CPU.\n" in text


def test_metrics_are_shown_when_there_are_some(make_facts):
    facts = make_facts()
    assert "## Benchmark" not in readme.render(cards.build(facts))
    measured = {
        "real images": {"frechet": 0.66612},
        "float32": {"coverage": None, "frechet": 9.04, "p50_ms": 0.0412, "other": 3},
        "int8": {"frechet": 11.0, "note": "its Fréchet distance is 1.22 times float32's"},
        "protocol": "10,000 samples",
    }
    text = readme.render(cards.build(dataclasses.replace(facts, metrics=measured)))
    part = text.partition("## Benchmark\n\n")[2].partition("\n## ")[0]
    assert [re.sub(" +", " ", line) for line in part.splitlines() if line.startswith("| ")] == [
        "| Images | Fréchet | Coverage | ms per image | other |",
        "| ----------- | ------: | -------: | -----------: | ----: |",
        "| real images | 0.666 | - | - | - |",
        "| float32 | 9.04 | - | 0.0412 | 3 |",
        "| int8 | 11 | - | - | - |",
    ]
    assert "lower is better" in part
    assert "- int8: its Fréchet distance is 1.22 times float32's\n- protocol: 10,000" in part


def test_metrics_without_image_quality(make_facts):
    measured = {"float32": {"p50_ms": 0.0412}}
    text = readme.render(cards.build(dataclasses.replace(make_facts(), metrics=measured)))
    part = text.partition("## Benchmark\n\n")[2].partition("\n## ")[0]
    assert "ms per image" in part and "Fréchet" not in part


def test_numbers_of_the_card_are_in_the_readme(make_facts):
    text = readme.render(cards.build(make_facts()))
    assert re.search(r"`model.tflite` +\| 227 \| float32 \| +3.1e-07 \|", text)
    assert "difference.max() <= 0.005" in text
    assert "Last epoch: loss 95.2." in text
    assert "56,000 parameters in the decoder and 512,000 in" in text


def test_code_is_not_reflowed():
    code = "```\none\ntwo\n```"
    assert readme.reflowed(f"# A\n\na\nb\n\n{code}\n\n- c\n- d\n") == (
        f"# A\n\na b\n\n{code}\n\n- c\n- d\n"
    )


def test_values_are_escaped_in_text_and_literal_in_code(make_facts):
    facts = dataclasses.replace(
        make_facts(),
        name="<script>alert(1)</script>",
        summary="Digits & letters, a colour's {{ strength }}.",
        command="keras-ganvae export --out 'a<b {% if %}\n```\n<script>'",
    )
    text = readme.render(cards.build(facts))
    assert "# &lt;script&gt;alert(1)&lt;/script&gt;\n" in text
    assert "<title>&lt;script&gt;" in text
    assert "Digits &amp; letters, a colour's {{ strength }}." in text
    assert "\nkeras-ganvae export --out 'a<b {% if %} ``` <script>'\n```\n" in text


def test_wrapping_makes_no_list_of_a_formula():
    formula = "`z = m[k] + L[k] e`"
    text = f"# A\n\n{'word ' * 14}{formula} and more.\n"
    assert f"\n{formula} and more." in readme.reflowed(text)


def test_list_items_are_wrapped_with_their_indentation():
    text = f"- {'word ' * 20}\n- short\n\n12. {'word ' * 20}\n"
    lines = readme.reflowed(text).splitlines()
    assert [line[:5] for line in lines] == ["- wor", "  wor", "- sho", "", "12. w", "    w"]
    assert max(map(len, lines)) <= 80


def test_the_card_lists_the_readme_that_is_rendered_from_it(make_facts, tmp_path):
    (tmp_path / "benchmark.json").write_text("{}")
    readme.write_with_card(tmp_path, cards.build(make_facts()), ["benchmark.json"])
    card = cards.read(tmp_path / cards.NAME)
    assert (tmp_path / cards.README).read_text() == readme.render(card)
    listed = cards.listing(tmp_path)
    assert listed.keys() == {"benchmark.json", cards.README}
    assert {name: card["files"][name] for name in listed} == listed
