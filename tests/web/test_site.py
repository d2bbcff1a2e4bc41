import errno
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_ganvae.bundle import card
from keras_ganvae.errors import InputError
from keras_ganvae.web import icons, server, site

NAME = "vae-synthetic"


@pytest.fixture
def write(bundle, stand_in, tmp_path):
    """`write(*bundles)`: a site of these bundles, by default of the tiny one."""

    def make(*bundles, out=tmp_path / "site", **options):
        return site.write(bundles or [bundle], out, **options)

    return make


def _files(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def _precache(folder):
    version, files = re.fullmatch(
        r'self\.VERSION = "([0-9a-f]{16})";\nself\.FILES = (\[.*\]);\n',
        (folder / "precache.js").read_text(),
        re.DOTALL,
    ).groups()
    return version, json.loads(files)


def test_a_site_holds_the_app_and_the_bundle(write, bundle, built):
    out = write()
    assert _files(out) == {
        *_files(built),
        *(f"icons/{name}" for name in icons.SIDES),
        *(f"bundles/{NAME}/{path.name}" for path in bundle.iterdir() if path.is_file()),
        "bundles/index.json",
        "manifest.webmanifest",
        "precache.js",
    }
    for name in ("sampler.tflite", "model_card.json", "golden.npz"):
        assert (out / "bundles" / NAME / name).read_bytes() == (bundle / name).read_bytes()
    for name in _files(built):
        assert (out / name).read_bytes() == (built / name).read_bytes()


def test_several_bundles_are_listed_in_their_order(write, bundle, named):
    out = write(named("zwei"), bundle, named("eins"))
    listed = json.loads((out / "bundles/index.json").read_text())["bundles"]
    assert listed == [
        {"name": name, "folder": f"bundles/{name}"} for name in ("zwei", NAME, "eins")
    ]
    record = json.loads((out / "manifest.webmanifest").read_text())
    assert record["name"] == f"zwei, {NAME}, eins" and record["short_name"] == "keras-ganvae"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("my digits #2", "my-digits-2"),
        ("../../outside", "outside"),
        ("Ziffern über", "Ziffern-über"),
        ("???", "bundle"),
        ("x" * 300, "x" * 60),
    ],
)
def test_bundle_names_become_safe_folder_names(write, named, name, folder):
    short = named("kept")
    path = short / card.NAME
    path.write_text(json.dumps(card.sealed(json.loads(path.read_text()) | {"name": name})))
    out = write(short)
    (listed,) = json.loads((out / "bundles/index.json").read_text())["bundles"]
    assert listed == {"name": name, "folder": f"bundles/{folder}"}
    assert (out / "bundles" / folder / card.NAME).is_file()


def test_the_manifest_is_relative_and_lists_existing_icons(write):
    out = write()
    record = json.loads((out / "manifest.webmanifest").read_text())
    assert record["name"] == record["short_name"] == NAME
    assert record["start_url"] == record["scope"] == "." and record["display"] == "standalone"
    assert re.fullmatch("#[0-9a-f]{6}", record["theme_color"])
    assert [each["purpose"] for each in record["icons"]] == ["any", "any", "maskable"]
    for each in record["icons"]:
        assert each["type"] == "image/png"
        with Image.open(out / each["src"]) as image:
            assert each["sizes"] == f"{image.width}x{image.height}"


def test_icons_have_their_size_and_are_not_blank(write):
    out = write()
    background = np.array([0x13, 0x14, 0x16])
    for name, side in icons.SIDES.items():
        with Image.open(out / "icons" / name) as image:
            pixels = np.asarray(image)
        assert pixels.shape == (side, side, 3), name
        assert (pixels[0] == background).all() and (pixels[:, -1] == background).all()
        assert pixels.std() > 5


def test_a_maskable_icon_stays_inside_its_safe_circle():
    white = np.full((icons.COUNT, 28, 28, 1), 255, np.uint8)
    pixels = np.asarray(icons.icon(white, 512, icons.MASKABLE_SQUARE))
    y, x = np.indices((512, 512)) - 255.5
    outside = np.hypot(x, y) > 0.4 * 512
    assert (pixels[outside] == pixels[0, 0]).all()
    assert (pixels[~outside] == 255).all(axis=-1).mean() > 0.4


def test_an_icon_keeps_the_order_and_aspect_ratio_of_samples():
    samples = np.zeros((icons.COUNT, 10, 20, 3), np.uint8)
    samples[1, ..., 0] = samples[2, ..., 1] = 255
    pixels = np.asarray(icons.icon(samples, 192, icons.SQUARE)).astype(int)
    red = (pixels[..., 0] > 128) & (pixels[..., 1] < 64)
    green = (pixels[..., 1] > 128) & (pixels[..., 0] < 64)
    assert not red[96:].any() and not red[:, :96].any()
    assert not green[:96].any() and not green[:, 96:].any()
    height, width = (np.ptp(np.nonzero(red)[axis]) + 1 for axis in (0, 1))
    assert width == pytest.approx(2 * height, abs=2) and width > 70


def test_precache_lists_all_files_but_the_worker_and_itself(write):
    out = write()
    _, files = _precache(out)
    assert len(files) == len(set(files)) and files[0] == "./"
    assert set(files[1:]) == _files(out) - {"sw.js", "precache.js"}


def test_the_version_depends_on_the_content_only(write, named, built, tmp_path):
    version = _precache(write())[0]
    assert _precache(write(overwrite=True))[0] == version
    assert _precache(write(named("other"), out=tmp_path / "other"))[0] != version
    worker = (built / "sw.js").read_text()
    try:
        (built / "sw.js").write_text(worker + "// changed\n")
        assert _precache(write(out=tmp_path / "changed"))[0] != version
    finally:
        (built / "sw.js").write_text(worker)


def test_only_expected_files_of_a_bundle_reach_the_site(write, bundle, tmp_path):
    evil = shutil.copytree(bundle, tmp_path / "evil")
    (evil / "page.html").write_text("<script>alert(1)</script>")
    path = evil / card.NAME
    record = json.loads(path.read_text())
    path.write_text(json.dumps(card.with_files(record, evil, ["page.html"])))
    files = _files(write(evil))
    assert f"bundles/{NAME}/page.html" not in files and f"bundles/{NAME}/README.md" in files


@pytest.mark.parametrize("name", ["README.md", card.NAME])
def test_links_out_of_a_bundle_do_not_reach_the_site(write, bundle, tmp_path, name):
    evil = shutil.copytree(bundle, tmp_path / "evil")
    (evil / name).unlink()
    (evil / name).symlink_to(bundle / name)
    with pytest.raises(InputError, match=f"{name} is (missing|a link)"):
        write(evil)


# Failures leave no files


@pytest.mark.parametrize(
    "damage", ["missing", "no card", "altered", "a file too many", "a folder of something else"]
)
def test_a_bundle_that_fails_verification_is_rejected(write, bundle, tmp_path, damage):
    bad = tmp_path / "bad"
    if damage == "a folder of something else":
        bad.mkdir()
    elif damage != "missing":
        shutil.copytree(bundle, bad)
    if damage == "no card":
        (bad / card.NAME).unlink()
    elif damage == "altered":
        content = bytearray((bad / "model.tflite").read_bytes())
        content[len(content) // 2] ^= 1
        (bad / "model.tflite").write_bytes(content)
    elif damage == "a file too many":
        (bad / "notes.txt").write_text("")
    reason = {
        "missing": "there is no bundle",
        "no card": "it has no model_card.json",
        "altered": "SHA-256 differs",
        "a file too many": "notes.txt is not in model_card.json",
        "a folder of something else": "it has no model_card.json",
    }[damage]
    with pytest.raises(InputError, match=reason):
        write(bundle, bad)
    assert {each.name for each in tmp_path.iterdir()} <= {"bad"}


def test_two_bundles_cannot_share_a_folder(write, named, bundle):
    with pytest.raises(InputError, match=f"would share the site's folder bundles/{NAME}"):
        write(bundle, bundle)
    first, second = named("A b"), named("a?B")
    with pytest.raises(InputError, match="would share the site's folder bundles/"):
        write(first, second)


def test_a_missing_build_of_the_app_is_an_error(write, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "BUILT", tmp_path / "nothing")
    with pytest.raises(InputError, match="run scripts/build_web"):
        write()
    assert not any(tmp_path.iterdir())


def test_out_must_be_new_or_a_site(write, bundle, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match="is a file"):
        write(out=tmp_path / "file", overwrite=True)
    with pytest.raises(InputError, match="is not a folder"):
        write(out=tmp_path / "file" / "below")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("kept")
    with pytest.raises(InputError, match="not empty and not a site"):
        write(out=foreign, overwrite=True)
    assert (foreign / "thesis.tex").read_text() == (tmp_path / "file").read_text() == "kept"
    out = write()
    with pytest.raises(InputError, match="already holds a site; `overwrite` replaces it"):
        write()
    (out / "icons" / "icon-192.png").write_text("old")
    assert write(overwrite=True) == out and (out / "icons" / "icon-192.png").read_bytes() != b"old"
    with pytest.raises(InputError, match="inside the bundle"):
        write(out=bundle / "site")
    assert {each.name for each in tmp_path.iterdir()} == {"file", "foreign", "site"}


@pytest.mark.parametrize("name", ["CNAME", ".git/HEAD", "blog/first.md"])
def test_what_others_added_to_a_site_is_kept(write, name):
    out = write()
    before = _precache(out)
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("kept")
    with pytest.raises(InputError, match=f"has {name}, which is not part of the site"):
        write(overwrite=True)
    assert (out / name).read_text() == "kept" and _precache(out) == before


def test_what_others_add_while_a_site_is_written_is_kept(write, monkeypatch):
    out = write()

    def slow(*arguments):
        (out / "CNAME").write_text("kept")
        draw(*arguments)

    draw = icons.write
    monkeypatch.setattr(icons, "write", slow)
    with pytest.raises(InputError, match="has CNAME"):
        write(overwrite=True)
    assert (out / "CNAME").read_text() == "kept"


def test_a_failure_keeps_the_old_site(write, tmp_path, monkeypatch):
    out = write()
    before = _precache(out)
    monkeypatch.setattr(icons, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        write(overwrite=True)
    assert _precache(out) == before
    assert [each.name for each in tmp_path.iterdir()] == ["site"]


# The command


def test_web_writes_a_site_and_prints_how_to_try_it(command, bundle, stand_in, tmp_path):
    out = tmp_path / "a site"
    code, printed, err = command("web", bundle, "--out", out)
    assert (code, err) == (0, "")
    assert f"python3 -m http.server -d '{out}'" in printed
    assert printed.splitlines()[-1] == str(out) and (out / "precache.js").is_file()
    code, _, err = command("web", bundle, "--out", out)
    assert code == 2 and err.count("\n") == 1 and "--overwrite" in err
    assert command("web", bundle, "--out", out, "--overwrite")[0] == 0


def test_web_explains_bad_input_in_one_line(command, bundle, stand_in, tmp_path, monkeypatch):
    bad = shutil.copytree(bundle, tmp_path / "bad")
    (bad / "golden.npz").write_bytes(b"")
    for arguments, reason in {
        ("--out", tmp_path / "x"): "BUNDLE",
        (bundle,): "--out",
        (tmp_path / "none", "--out", tmp_path / "x"): "there is no bundle",
        (bad, "--out", tmp_path / "x"): "golden.npz has 0 bytes",
    }.items():
        code, out, err = command("web", *arguments)
        assert (code, out) == (2, "") and err.count("\n") == 1 and reason in err
    monkeypatch.setattr(site, "replacing_folder", _deny)
    code, _, err = command("web", bundle, "--out", tmp_path / "x")
    assert code == 2 and "permission denied" in err


def test_web_on_a_full_disk_names_the_site(command, bundle, stand_in, tmp_path, monkeypatch):
    def full(source, copy):
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(copy))

    monkeypatch.setattr("shutil.copyfile", full)
    code, _, err = command("web", bundle, "--out", tmp_path / "x")
    assert code == 2 and err.count("\n") == 1
    assert "the disk is full" in err and f"({tmp_path / 'x'})" in err
    assert not list(tmp_path.iterdir())


def _deny(*_, **__):
    raise PermissionError(13, "Permission denied", "/locked")


# The app itself


needs_build = pytest.mark.skipif(
    not (site.BUILT / site.PAGE).exists(), reason="the app is not built: scripts/build_web"
)


@needs_build
def test_the_links_of_the_built_page_exist_in_a_site(bundle, tmp_path):
    out = site.write([bundle], tmp_path / "site")
    page = (out / site.PAGE).read_text()
    linked = re.findall(r'(?:href|src)="([^"#]*)"', page)
    assert {"manifest.webmanifest", "app.js", "app.css", "icons/apple-180.png"} <= set(linked)
    for name in linked:
        assert (out / name).is_file(), name
    assert "precache.js" in (out / site.WORKER).read_text()


@needs_build
def test_the_built_page_states_the_policy_of_the_server():
    page = (site.BUILT / site.PAGE).read_text()
    (policy,) = re.findall(r'Content-Security-Policy"\s+content="([^"]*)"', page)
    assert " ".join(policy.split()) == server.POLICY
