"""Which files of a folder are ours: what `overwrite` may remove and no output may replace.

A folder is a run, a bundle, a site or a comparison if its index file is one that this package
wrote. Nothing else in it is ours than the names listed here; links never are.
"""

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from keras_ganvae.errors import InputError
from keras_ganvae.files import UNFINISHED, check_parent, recover

MAX_INDEX_BYTES = 2**26
# In a bundle, although its card may not list them: the card, and what is made from it.
UNLISTED = frozenset(
    {"model_card.json", "model_card.json.minisig", "README.md", "benchmark.json", "benchmark.png"}
)

# Tells whether a path relative to the folder, with slashes, is ours; an empty folder's has one
# at its end.
Owns = Callable[[str], object]


@dataclass(frozen=True)
class Kind:
    """A kind of folder that this package writes.

    Attributes:
        name: for error messages.
        index: the file that identifies it.
        read: from the index file's text to the names that are ours. Raises ValueError,
            KeyError or another error of such kind if the file is not ours.
        remedy: what to do about an existing one.
        early: names that are written before the index file.
        replaceable: our names that the user's own outputs may replace.
        shared: whether files that are not ours may be there too: they stay.
    """

    name: str
    index: str
    read: Callable[[str], Owns]
    remedy: str = "`overwrite` replaces it"
    early: Owns = lambda name: False
    replaceable: Collection[str] = ()
    shared: bool = False

    def owner(self, folder: Path) -> Owns | None:
        """What is ours in a folder; None if it is not of this kind."""
        index = folder / self.index
        try:
            if not _is_regular(index) or index.stat().st_size > MAX_INDEX_BYTES:
                return None
            return self.read(index.read_text(encoding="utf-8"))
        # Whatever a file raises that only has the same name.
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None


_EARLY_IN_RUN = r"\.lock|figures/|checkpoint/|tensorboard/|logs/(worker-\d+\.log)?"
_IN_RUN = rf"""{_EARLY_IN_RUN}
    |config\.json|history\.csv|model\.keras|\.unfinished|prior\.npz|evaluation\.json|samples\.png
    |checkpoint/\d+-\d+/((variables\.npz|memory\.json|manifest\.json)?)
    |figures/(samples-\d+|loss|accuracy|reconstructions)\.png|figures/training\.gif
    |tensorboard/((train|validation|evaluation(/[^/]+)?)/)?(events\.out\.tfevents\.[^/]+)?"""
# A run that is being replaced is set aside in the folder of the new one.
_ASIDE = rf"\.replaced/({_IN_RUN})?"


def _of_run(text):
    record = json.loads(text)
    ours = {"arch", "config", "dataset", "versions", "command"} <= record.keys()
    if not (ours and record["config"]["arch"] and record["dataset"]["fingerprint"]):
        raise ValueError("not a run's config.json")
    return re.compile(f"{_IN_RUN}|{_ASIDE}", re.VERBOSE).fullmatch


def _of_bundle(text):
    card = json.loads(text)
    names = UNLISTED | card["files"].keys()
    if card["schema"] != "keras-ganvae/model-card":
        raise ValueError("not a bundle's card")
    return lambda name: name in names or re.fullmatch(r"saved_model/(\w+/)*|c/", name)


def _of_site(text):
    match = re.fullmatch(
        r'self\.VERSION = "[0-9a-f]{16}";\nself\.FILES = (\[.*\]);\n', text, re.DOTALL
    )
    names = {unquote(name) for name in json.loads(match[1])} if match else set()
    if "bundles/index.json" not in names:
        raise ValueError("not a site's list of files")
    return (names | {"sw.js", "precache.js"}).__contains__


def _of_comparison(text):
    if json.loads(text)["schema"] != "keras-ganvae/comparison":
        raise ValueError("not a comparison's results")
    return {"results.json", "index.html"}.__contains__


RUN = Kind(
    "run",
    "config.json",
    _of_run,
    remedy="`overwrite` replaces it, `resume` continues it",
    early=re.compile(f"{_EARLY_IN_RUN}|{_ASIDE}", re.VERBOSE).fullmatch,
    replaceable=("evaluation.json", "samples.png"),
)
BUNDLE = Kind("bundle", "model_card.json", _of_bundle)
SITE = Kind("site", "precache.js", _of_site)
COMPARISON = Kind("comparison", "results.json", _of_comparison, shared=True)
KINDS = (RUN, BUNDLE, SITE, COMPARISON)


def check_replaceable(
    out: str | os.PathLike, kind: Kind, overwrite: bool, inputs: Iterable[str | os.PathLike] = ()
) -> None:
    """Check that a folder can be created at `out`, or that replacing the one there loses nothing.

    Args:
        out: the folder to create.
        kind: what it will be.
        overwrite: whether an existing folder of this kind may be replaced.
        inputs: files and folders that are still needed.

    Raises:
        InputError: `out` is empty, a file, the current directory or above it, or not writable;
            it holds anything that is not ours, or an input; or it exists and `overwrite` is
            false.
    """
    _check_place(out)
    folder = Path(out)
    if not folder.is_dir():
        return
    if not kind.shared:
        _check_not_in_use(folder, inputs)
    if not any(folder.iterdir()):
        return
    owns = kind.owner(folder)
    if owns is None:
        if _foreign(folder, kind.early) is None:
            return  # the process was killed before it had written the index file
        raise InputError(f"`out={out}` is not empty and not a {kind.name}; choose another folder")
    if not overwrite:
        raise InputError(f"`out={out}` already holds a {kind.name}; {kind.remedy}")
    if not kind.shared:
        _check_only_ours(folder, owns, kind)


def remove_own(folder: Path, kind: Kind, keep: Collection[str] = ()) -> None:
    """Remove the files of a run, bundle or site, and the folders that this leaves empty.

    Args:
        keep: names in the folder itself that stay.

    Raises:
        InputError: something in the folder is not ours; nothing was removed.
    """
    owns = kind.owner(folder) or kind.early
    _check_only_ours(folder, owns, kind)
    for name in list(_entries(folder)):
        if name.split("/")[0] not in keep:
            path = folder / name
            path.rmdir() if name.endswith("/") else path.unlink()
            # `path` was all that these folders held.
            for parent in path.parents:
                if parent == folder or any(parent.iterdir()):
                    break
                parent.rmdir()


def own_files(folder: Path, kind: Kind, under: str) -> list[Path]:
    """The files of a run, bundle or site below one of its folders, sorted.

    Args:
        under: the folder's path, relative to `folder`.
    """
    owns = kind.owner(folder) or kind.early
    below = folder / under
    if below.is_symlink() or not below.is_dir():
        return []
    files = sorted(below / name for name in _entries(below))
    return [
        file for file in files if _is_regular(file) and owns(file.relative_to(folder).as_posix())
    ]


def check_output(out: str | os.PathLike, setting: str = "out") -> None:
    """Check that an output would not replace a file of a run, a bundle, a site or a comparison.

    New files there are allowed.

    Args:
        out: the file or folder to write.
        setting: its name in the error message.

    Raises:
        InputError: it would.
    """
    place = Path(out).resolve()
    for folder in place.parents:
        name = place.relative_to(folder).as_posix()
        for kind in KINDS:
            owns = kind.owner(folder)
            if not owns or name in kind.replaceable:
                continue
            if owns(name) or owns(f"{name}/"):
                raise InputError(
                    f"`{setting}={out}` is part of the {kind.name} {folder}; choose another place"
                )


def _check_place(out):
    if not os.fspath(out):
        raise InputError("`out` is empty")
    check_parent(out)
    folder = Path(out)
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not nearest.is_dir():
        raise InputError(f"`out={out}` is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"can't write to `out={out}`: {nearest} is not a writable folder")
    recover(folder)


def _check_not_in_use(folder, inputs):
    for place in (Path.cwd(), Path(os.path.expanduser("~"))):
        if place.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"`out={folder}` is {place} or a folder above it; choose another folder"
            )
    for path in inputs:
        if Path(path).resolve().is_relative_to(folder.resolve()):
            raise InputError(f"`out={folder}` holds the input {path}; choose another folder")


def _check_only_ours(folder, owns, kind):
    foreign = _foreign(folder, owns)
    if foreign is not None:
        raise InputError(
            f"`out={folder}` has {foreign}, which is not part of the {kind.name}; choose another"
            " folder, or move it away first"
        )


def _foreign(folder, owns):
    """The first name in a folder that is not ours, or None."""
    for name in sorted(_entries(folder)):
        ours = owns(name) or any(part.startswith(UNFINISHED) for part in name.split("/"))
        if not ours or not (name.endswith("/") or _is_regular(folder / name)):
            return name
    return None


def _entries(folder: Path) -> Iterator[str]:
    """Relative paths of all files, links and, with a slash at their end, empty folders."""
    folders = [folder]
    while folders:  # no recursion: a stranger's folders may be nested deeply
        for path in list(folders.pop().iterdir()):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() or not path.is_dir():
                yield name
            elif any(path.iterdir()):
                folders.append(path)
            else:
                yield f"{name}/"


def _is_regular(path):
    return path.is_file() and not path.is_symlink()
