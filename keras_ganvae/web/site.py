"""A site: a folder of static files that draws from bundles in a browser, installable, offline.

`scripts/build_web` builds the app, `built/`, from its sources in `app/`.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from keras_ganvae.bundle import card
from keras_ganvae.bundle.formats import GOLDEN
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.sample import open_source
from keras_ganvae.bundle.verify import verify
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.files import replacing_folder, sha256_of
from keras_ganvae.ownership import SITE, check_replaceable
from keras_ganvae.web import icons

BUILT = Path(__file__).with_name("built")
PAGE, WORKER = "index.html", "sw.js"
SAMPLES = "samples.png"
MANIFEST, PRECACHE, INDEX = "manifest.webmanifest", "precache.js", "bundles/index.json"
MAX_FOLDER_NAME = 60  # characters; file systems allow 255 bytes


def write(bundles: Sequence[str | Path], out: str | Path, *, overwrite: bool = False) -> Path:
    """Write the site of one or more bundles, for any web server.

    Args:
        bundles: folders that `export` made. The first one's samples become the icons.
        out: the site's folder.
        overwrite: replace an existing site in `out`.

    Returns:
        `out`.

    Raises:
        InputError: there is no bundle, one fails verification, two share a folder name,
            `out` can't be used, or the app is not built.
    """
    _check_built()
    check_replaceable(out, SITE, overwrite)
    out = Path(out)
    _check_outside(out, bundles)
    opened = [_open_verified(path) for path in bundles]
    folders = _folder_names(opened)
    with replacing_folder(out) as folder:
        _copy_app(folder)
        for each, name in zip(opened, folders, strict=True):
            _copy_bundle(each, folder / name)
        index = [
            {"name": each.name, "folder": name} for each, name in zip(opened, folders, strict=True)
        ]
        (folder / INDEX).write_text(_json({"bundles": index}))
        icons.write(folder / "icons", _icon_samples(opened[0]))
        (folder / MANIFEST).write_text(_json(manifest([each.name for each in opened])))
        (folder / PRECACHE).write_text(precache(folder))
        check_replaceable(out, SITE, overwrite)  # others may have written there meanwhile
    return out


def manifest(names: Sequence[str]) -> dict:
    """The web app manifest (W3C); all its addresses are relative to it.

    Args:
        names: names of the bundles.
    """
    sizes = {name: f"{side}x{side}" for name, side in icons.SIDES.items() if name != icons.APPLE}
    return {
        "name": ", ".join(names),
        "short_name": names[0] if len(names) == 1 else "keras-ganvae",
        "description": "Draws images on this device, offline.",
        "lang": "en",
        "start_url": ".",
        "scope": ".",
        "display": "standalone",
        "background_color": icons.BACKGROUND,
        "theme_color": icons.BACKGROUND,
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


def precache(folder: Path) -> str:
    """A script with the files that the service worker caches and a version of their content."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    digest = hashlib.sha256()
    for name, path in zip(names, paths, strict=True):
        digest.update(f"{name}\0{sha256_of(path)}\n".encode())
    # Browsers check the worker and its imports for updates themselves: they stay uncached.
    cached = ["./", *(quote(name) for name in names if name not in (WORKER, PRECACHE))]
    version = digest.hexdigest()[:16]
    return f"self.VERSION = {json.dumps(version)};\nself.FILES = {_json(cached)[:-1]};\n"


def _check_built():
    for name in (PAGE, WORKER):
        if not (BUILT / name).is_file():
            raise InputError(
                f"the web app is not built: {BUILT / name} is missing;"
                " run scripts/build_web, which needs Node and npm"
            )


def _check_outside(out, bundles):
    for path in bundles:
        if out.resolve().is_relative_to(Path(path).resolve()):
            raise InputError(f"`out={out}` is inside the bundle {path}; choose another folder")


def _open_verified(path):
    try:
        verify(path)
    except GateFailed as error:
        raise InputError(str(error)) from error
    return Bundle.open(path)


def _folder_names(opened):
    """Each bundle's folder in the site; its name is made safe for file systems and URLs."""
    folders: dict[str, str] = {}
    sources: dict[str, Path] = {}
    for each in opened:
        name = re.sub(r"[^\w.-]+", "-", each.name)[:MAX_FOLDER_NAME].strip(".-")
        folder = f"bundles/{name or 'bundle'}"
        key = folder.casefold()  # some file systems ignore case
        if key in folders:
            raise InputError(
                f"{sources[key]} and {each.path} would share the site's folder {folder};"
                " leave one out, or export it again to a folder with another name"
            )
        folders[key], sources[key] = folder, each.path
    return list(folders.values())


def _copy_app(folder):
    # `shutil.copytree` would hide a full disk in a list of errors.
    for path in sorted(BUILT.rglob("*")):
        copy = folder / path.relative_to(BUILT)
        if path.is_dir():
            copy.mkdir()
        else:
            shutil.copyfile(path, copy)


def _copy_bundle(each, folder):
    """Copy the files that the app shows, and no others."""
    folder.mkdir(parents=True)
    wanted = {*each.variants.values(), GOLDEN, SAMPLES, card.README}
    for name in sorted(wanted & each.files.keys()):
        shutil.copyfile(each.file(name), folder / name)
    shutil.copyfile(each.path / card.NAME, folder / card.NAME)


def _icon_samples(each):
    variant = "float32" if "float32" in each.variants else None
    return open_source(each.path).sample(icons.COUNT, icons.SEED, variant=variant)


def _json(value):
    return json.dumps(value, indent=2) + "\n"
