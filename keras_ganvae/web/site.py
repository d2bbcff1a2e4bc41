"""A site: one folder of static files that shows bundles in any browser, installable, offline.

The app itself, `built/`, is made by `scripts/build_web` from the sources in `app/`.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path
from urllib.parse import quote

from keras_ganvae.bundle import card
from keras_ganvae.bundle import read as bundle
from keras_ganvae.bundle.formats import GOLDEN
from keras_ganvae.bundle.verify import verify
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.files import check_new_folder, replacing_folder
from keras_ganvae.web import icons

BUILT = Path(__file__).with_name("built")
PAGE, WORKER = "index.html", "sw.js"
SAMPLES = "samples.png"
MANIFEST, PRECACHE, LIST = "manifest.webmanifest", "precache.js", "bundles/index.json"
COLOUR = icons.BACKGROUND
MOST_LETTERS = 60  # of a folder's name: a file system takes 255 bytes


def write(bundles, out, *, overwrite=False) -> Path:
    """Write the site of one bundle or more; it needs nothing but a web server of any kind.

    Args:
        bundles: folders that `export` made. The first one's samples become the icons.
        overwrite: replace a site that `out` holds.

    Returns:
        `out`.

    Raises:
        InputError: there is no bundle, one fails `verify`, two have one name, `out` can't be
            used, or the app was not built.
    """
    out = Path(out)
    check_built()
    check_out(out, bundles, overwrite)
    opened = [open_checked(path) for path in bundles]
    folders = list(_folders(opened))
    with replacing_folder(out) as folder:
        _copy_app(folder)
        for each, name in zip(opened, folders, strict=True):
            _copy(each, folder / name)
        listed = [
            {"name": each.name, "folder": name} for each, name in zip(opened, folders, strict=True)
        ]
        (folder / LIST).write_text(_json({"bundles": listed}))
        icons.write(folder / "icons", _samples(opened[0]))
        (folder / MANIFEST).write_text(_json(manifest([each.name for each in opened])))
        (folder / PRECACHE).write_text(precache(folder))
    return out


def check_built():
    """InputError unless the app was built."""
    for name in (PAGE, WORKER):
        if not (BUILT / name).is_file():
            raise InputError(
                f"the web app is not built: {BUILT / name} is missing;"
                " run scripts/build_web, which needs Node and npm"
            )


def check_out(out, bundles, overwrite):
    """InputError where a site can't go; inside a bundle it can't, either."""
    check_new_folder(out, "site", [PRECACHE, LIST], overwrite)
    for path in bundles:
        if out.resolve().is_relative_to(Path(path).resolve()):
            raise InputError(f"--out {out} is inside the bundle {path}; choose another folder")


def open_checked(path) -> bundle.Bundle:
    """A bundle that passes `verify`.

    Raises:
        InputError: there is none, or it fails, with the reason.
    """
    try:
        verify(path)
    except GateFailed as error:
        raise InputError(str(error)) from error
    return bundle.Bundle.open(path)


def manifest(names) -> dict:
    """The web app manifest (W3C), every address relative to it."""
    sizes = {name: f"{side}x{side}" for name, side in icons.SIDES.items() if name != icons.APPLE}
    return {
        "name": ", ".join(names),
        "short_name": names[0] if len(names) == 1 else "keras-ganvae",
        "description": "Draws images on this device, offline.",
        "lang": "en",
        "start_url": ".",
        "scope": ".",
        "display": "standalone",
        "background_color": COLOUR,
        "theme_color": COLOUR,
        "icons": [
            {
                "src": f"icons/{name}",
                "sizes": size,
                "type": "image/png",
                "purpose": "maskable" if name == icons.MASKABLE else "any",
            }
            for name, size in sizes.items()
        ],
    }


def precache(folder) -> str:
    """The script that tells the service worker what to keep, and the version of it all."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    digest = hashlib.sha256()
    for name, path in zip(names, paths, strict=True):
        digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    # A browser compares the worker and what it imports by itself; neither goes in a cache.
    kept = ["./", *(quote(name) for name in names if name not in (WORKER, PRECACHE))]
    version = digest.hexdigest()[:16]
    return f"self.VERSION = {json.dumps(version)};\nself.FILES = {_json(kept)[:-1]};\n"


def _folders(opened):
    """Where each bundle goes, its name made safe for file systems and addresses."""
    taken = {}
    for each in opened:
        letters = re.sub(r"[^\w.-]+", "-", each.name)[:MOST_LETTERS].strip(".-")
        folder = f"bundles/{letters or 'bundle'}"
        if folder.casefold() in taken:
            raise InputError(
                f"{taken[folder.casefold()]} and {each.path} would both be {folder} of the site;"
                " leave one out, or export it again to a folder of another name"
            )
        taken[folder.casefold()] = each.path
        yield folder


def _copy_app(folder):
    """The built app; the first error is raised as it is, where `shutil.copytree` collects them."""
    for path in sorted(BUILT.rglob("*")):
        copy = folder / path.relative_to(BUILT)
        if path.is_dir():
            copy.mkdir()
        else:
            shutil.copyfile(path, copy)


def _copy(each, folder):
    """What the app shows of a bundle; no other file can slip into the site with it."""
    folder.mkdir(parents=True)
    wanted = {*each.variants.values(), GOLDEN, SAMPLES}
    for name in sorted(wanted & each.files.keys()):
        shutil.copyfile(each.file(name), folder / name)
    for name in (card.NAME, card.README):
        source = each.path / name
        # The card lists neither, so a link could lead anywhere.
        if source.is_file() and not source.is_symlink():
            shutil.copyfile(source, folder / name)


def _samples(each):
    variant = "float32" if "float32" in each.variants else None
    return bundle.open_source(each.path).sample(icons.COUNT, icons.SEED, variant=variant)


def _json(value):
    return json.dumps(value, indent=2) + "\n"
