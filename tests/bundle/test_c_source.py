"""`export --formats c`, and what `verify` does with its files."""

import json
import shutil
import subprocess

import pytest

from keras_ganvae.bundle import c_source
from keras_ganvae.bundle.formats import VARIANTS
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.verify import verify
from keras_ganvae.c import compiler, operators
from keras_ganvae.errors import GateFailed
from keras_ganvae.plots.images import to_uint8

pytestmark = pytest.mark.skipif(compiler.compiler() is None, reason="no C compiler here")


@pytest.fixture(scope="module")
def quick(tiny_bundle):
    """Exports take the model files of a tiny bundle instead of converting them again."""
    from keras_ganvae.bundle import build

    folder = tiny_bundle("vae")

    def convert(module, variant):
        return (folder / VARIANTS[variant].file).read_bytes()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "convert", convert)
        yield


@pytest.fixture(scope="module")
def bundle(quick, run_of, tmp_path_factory):
    """The bundle of a tiny vae with its C files."""
    from keras_ganvae.bundle.build import export

    return export(run_of("vae"), tmp_path_factory.mktemp("c") / "vae", formats=["c", "float32"])


@pytest.fixture
def changed(bundle, tmp_path):
    """A copy of the bundle that a test may change."""
    return shutil.copytree(bundle, tmp_path / "vae")


def test_files_and_card(bundle):
    files = Bundle.open(bundle).files
    names = {name for name in files if name.startswith("c/")}
    assert names == {"c/generator.h", "c/generator.c", "c/generator_float.c", "c/main.c"}
    assert "model_int8.tflite" in files  # c brings it along
    integer, real = files["c/generator.c"], files["c/generator_float.c"]
    assert integer["tolerance"]["max_error"] == 0 and real["tolerance"]["max_error"] == 1e-5
    assert integer["work_bytes"] < integer["ram_bytes"] < real["ram_bytes"]
    assert integer["flash_bytes"] < real["flash_bytes"] < 1.1 * files["model.tflite"]["bytes"] + 1e5


def check(folder):
    return c_source.check(Bundle.open(folder), same_release=True)


def test_images_are_compared(bundle):
    report = check(bundle)
    assert report["compiler"] and report["seeds"] == 16
    assert report["error"]["int8"] == 0 and report["error"]["float32"] <= 1e-5


def test_verify_compiles_and_compares(bundle, command):
    code, out, err = command("verify", bundle)
    assert (code, err) == (0, "")
    assert "C: compiled by " in out and "16 seeds: int8 0, float32 " in out


def test_verify_says_when_there_is_no_compiler(bundle, command, monkeypatch):
    monkeypatch.setattr(compiler, "compiler", lambda: None)
    _, out, _ = command("verify", bundle)
    assert "C: not compiled: no C compiler here" in out


def _edit(folder):
    path = folder / "c" / "generator.c"
    path.write_text(path.read_text().replace("image[i] =", "image[i] = 0 *", 1))


def _remove(folder):
    (folder / "c" / "main.c").unlink()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_edit, "c/generator.c is not what the models give"),
        (_remove, "c has generator.c, generator.h, generator_float.c instead of"),
    ],
)
def test_another_text_fails_although_the_card_lists_it(changed, restated, change, reason):
    change(changed)

    def relist(record):
        from keras_ganvae.bundle import card

        now = card.listing(changed)
        files = {name: each for name, each in record["files"].items() if name in now}
        record["files"] = {name: each | now[name] for name, each in files.items()}

    restated(changed, relist)
    with pytest.raises(GateFailed, match=reason):
        check(changed)


def test_the_card_states_the_sizes_of_the_files(changed, restated):
    def shrink(record):
        record["files"]["c/generator.c"]["ram_bytes"] -= 1

    restated(changed, shrink)
    with pytest.raises(GateFailed, match="another ram_bytes of c/generator.c"):
        check(changed)


def test_a_compiler_that_fails_is_named(bundle, tmp_path, monkeypatch):
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(
        GateFailed, match="can't compile generator.c with .*broken-cc: out of order"
    ):
        check(bundle)


def test_the_example_of_the_readme_draws_the_image(bundle, tmp_path):
    text = (bundle / "README.md").read_text()
    section = text.partition("## C for microcontrollers")[2].partition("\n## ")[0]
    assert "\n\n\n" not in section and max(map(len, section.splitlines())) <= 82
    for facts in Bundle.open(bundle).files.values():
        assert f"{facts.get('flash_bytes', 0):,}" in section or "flash_bytes" not in facts
    folder = shutil.copytree(bundle / "c", tmp_path / "c")
    example = text.partition("cd c\n")[2].partition("```")[0]
    assert "./draw 7" in example
    done = subprocess.run(["sh", "-ec", example], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert {len(line) for line in lines} == {56} and len(lines) == 28
    golden = Bundle.open(bundle).golden()
    image = to_uint8(golden["seed_images"][golden["seeds"].tolist().index(7)])[..., 0]
    levels = " .:-=+*#%@"
    darkness = [[levels.index(char) for char in line[::2]] for line in lines]
    assert abs(image * 10.0 / 256 - darkness).max() < 2


def test_bad_input(quick, run_of, command, tmp_path, monkeypatch):
    run, out = run_of("vae").path, tmp_path / "out"
    for options, reason in (
        (["--formats", "int8", "--max-flash", "9"], "--max-flash is for the C file"),
        (["--formats", "c", "--max-ram", "0"], "--max-ram must be at least 1, not 0"),
        (["--formats", "cc"], "unknown format 'cc'"),
    ):
        code, _, err = command("export", run, "--out", out, *options)
        assert code == 2 and reason in err and err.count("\n") == 1
    monkeypatch.delitem(operators.TRANSLATIONS, "LOGISTIC")
    code, _, err = command("export", run, "--out", out, "--formats", "c")
    assert code == 2 and "has no C for LOGISTIC" in err
    assert not out.exists()


def test_a_device_that_is_too_small(quick, run_of, command, tmp_path):
    out = tmp_path / "out"
    options = ("--formats", "c", "--max-flash", 20_000)
    code, _, err = command("export", run_of("vae").path, "--out", out, *options)
    assert code == 1 and "more than --max-flash 20000" in err and err.count("\n") == 1
    assert not out.exists()


def test_without_its_model_it_can_not_be_verified(changed, restated):
    def remove(record):
        del record["files"]["model_int8.tflite"]
        for each in record["signatures"].values():
            each["files"] = [name for name in each["files"] if name != "model_int8.tflite"]

    (changed / "model_int8.tflite").unlink()
    restated(changed, remove)
    with pytest.raises(GateFailed, match="but not model_int8.tflite, from which it is made"):
        check(changed)


def test_a_bundle_of_another_release_is_not_compiled(changed, restated):
    def older(record):
        record["versions"]["keras_ganvae"] = "0.0.1"

    restated(changed, older)
    assert verify(changed)["c"]["compiler"] is None
    assert json.loads((changed / "model_card.json").read_text())["files"]["c/main.c"]
