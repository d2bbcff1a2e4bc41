"""Ways to damage a file, and cases of damaged runs, bundles, sites, comparisons and data."""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from hostile.case import Case, Damage
from hostile.scene import MEASURE, TINY
from hostile.values import JSON

HUGE = 10**12  # images that a header claims
REMOVED = "(removed)"  # as the value of a JSON entry


def _truncate(path, damage):
    os.truncate(path, int(path.stat().st_size * damage.where))


def _flip(path, damage):
    content = bytearray(path.read_bytes())
    if content:
        place = min(int(len(content) * damage.where), len(content) - 1)
        content[place] ^= 1 << int(damage.value or 0) % 8
    path.write_bytes(content)


def _empty(path, damage):
    path.write_bytes(b"")


def _delete(path, damage):
    path.unlink()


def _append(path, damage):
    with path.open("ab") as file:
        file.write(_bytes(damage.value))


def _write(path, damage):
    path.write_bytes(_bytes(damage.value))


def _bytes(text):
    return str(text).encode(errors="surrogatepass")


def _folder(path, damage):
    path.unlink()
    path.mkdir()
    (path / "inside.txt").write_text("")


def _loop(path, damage):
    path.unlink()
    path.symlink_to(path.name)


def _fifo(path, damage):
    path.unlink()
    os.mkfifo(path)


def _link(path, damage):
    """To a good copy elsewhere."""
    kept = path.parents[len(path.parts) - 1 - path.parts.index("work")] / f"kept-{path.name}"
    shutil.move(path, kept)
    path.symlink_to(os.path.relpath(kept, path.parent))


def _lock(path, damage):
    path.chmod(0)


def _swap(path, damage):
    """Take the content of another file of its folder."""
    others = sorted(each for each in path.parent.rglob("*") if each.is_file() and each != path)
    if others:
        path.write_bytes(_at(others, damage.where).read_bytes())


def _json(path, damage):
    """Replace one value of a JSON document, wherever it is."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError:  # an earlier damage
        document = {}
    places = list(_places(document))
    if places:
        parent, key = _at(places, damage.where)
        if damage.value == REMOVED:
            del parent[key]
        else:
            parent[key] = damage.value
    path.write_text(json.dumps(document))


def _at(entries, where):
    return entries[min(int(len(entries) * where), len(entries) - 1)]


def _places(value):
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(entries):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


ARRAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nan": lambda array: np.full(array.shape, np.nan, np.float32),
    "infinite": lambda array: np.full(array.shape, np.inf, np.float32),
    "none": lambda array: array[:0],
    "scalar": lambda array: np.float32(1),
    "flat": lambda array: array.reshape(-1),
    "deeper": lambda array: array[None],
    "negative": lambda array: -np.abs(array.astype(np.float64)),
    "complex": lambda array: array.astype(np.complex64),
    "object": lambda array: np.array([None, {}], object),
    "text": lambda array: np.array("\x1b[31mtext"),
    "huge values": lambda array: np.full(array.shape, 1e38, np.float32),
    "double": lambda array: array.astype(np.float64),
    "wide": lambda array: np.concatenate([array, array], -1) if array.ndim else array,
}


def _array(path, damage):
    """Change one array of an archive, or how the archive holds it."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError):  # an earlier damage
        return
    name = _at(sorted(members), damage.where)
    if damage.value in ARRAYS:
        members[name] = _changed(members[name], ARRAYS[damage.value])
    elif damage.value in MEMBERS:
        MEMBERS[damage.value](members, name)
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    if damage.value == ENCRYPTED:
        _encrypt(path)


def _changed(content, change):
    changed = io.BytesIO()
    np.save(changed, change(np.load(io.BytesIO(content))), allow_pickle=True)
    return changed.getvalue()


def _huge_header(members, name):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (HUGE, 28, 28, 1)}
    )
    members[name] = header.getvalue()


ENCRYPTED = "encrypted"
MEMBERS: dict[str, Callable[[dict[str, bytes], str], object]] = {
    "huge header": _huge_header,
    "no array": lambda members, name: members.update({name: b"not an array"}),
    "missing": lambda members, name: members.pop(name),
    "renamed": lambda members, name: members.update({f"../{name}": members.pop(name)}),
    "extra": lambda members, name: members.update({"\x1b[31m.npy": members[name]}),
}


def _encrypt(path):
    """Set the flag of every member that says that it is encrypted."""
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(signature, at + 4)
    path.write_bytes(content)


WAYS: dict[str, Callable[[Path, Damage], object]] = {
    "truncate": _truncate,
    "flip": _flip,
    "empty": _empty,
    "delete": _delete,
    "append": _append,
    "write": _write,
    "folder": _folder,
    "loop": _loop,
    "fifo": _fifo,
    "link": _link,
    "lock": _lock,
    "swap": _swap,
    "json": _json,
    "array": _array,
}


def apply(damage: Damage, work: Path) -> None:
    """Damage a file below the folder `work`; made if there is none and the way is "write"."""
    path = work / damage.file
    if damage.how == "write" or (path.is_file() and not path.is_symlink()):
        WAYS[damage.how](path, damage)


# Cases

_SAMPLE = ("sample", "run", "--count", "2", "--out", "new.png")
_VERIFY = ("verify", "bundle")
# Commands that read each victim, the quick ones several times. The files that a case may damage
# are those in the victim.
READERS: dict[str, Sequence[tuple[str, ...]]] = {
    "run": (
        *(_SAMPLE,) * 8,
        *(("animate", "run", "--out", "new.gif"),) * 4,
        *(("compare", "run", *MEASURE, "--out", "new"),) * 3,
        *(("train", "--resume", "run"),) * 3,
        ("reconstruct", "run", "--out", "new.png"),
        ("traverse", "run", "--out", "new.png"),
        ("evaluate", "run", *MEASURE),
        ("export", "run", "--formats", "float32", "--out", "new"),
        ("benchmark", "bundle", "--run", "run", "--no-quality"),
    ),
    "unfinished": (
        *(("sample", "unfinished", "--count", "2", "--out", "new.png"),) * 4,
        *(("train", "--arch", "vae", *TINY, "--out", "unfinished"),) * 2,
        *(("evaluate", "unfinished"),) * 2,
        ("train", "--resume", "unfinished"),
    ),
    "bundle": (
        *(_VERIFY,) * 8,
        (*_VERIFY, "--json"),
        *(("sample", "bundle", "--count", "2", "--out", "new.npz"),) * 4,
        *(("sample", "bundle/model.tflite", "--count", "2", "--out", "new.npz"),) * 4,
        *(("sample", "bundle/sampler.tflite", "--count", "2", "--out", "new.png"),) * 4,
        ("web", "bundle", "--out", "new"),
        ("export", "unfinished", "--out", "bundle", "--overwrite"),
    ),
    "site": (
        *(("web", "nowhere", "--out", "site"),) * 3,
        ("web", "bundle", "--out", "site", "--overwrite"),
    ),
    "comparison": (("compare", "run", *MEASURE, "--out", "comparison"),),
    "data.npz": (
        *(("benchmark", "bundle", "--dataset", "npz:data.npz"),) * 4,
        ("train", "--arch", "gan", "--dataset", "npz:data.npz", "--dry-run"),
    ),
    "images": (("train", "--arch", "vae", "--dataset", "folder:images", "--dry-run"),),
}
WEIGHTS = {"run": 5, "unfinished": 2, "bundle": 5, "site": 1, "comparison": 1, "data.npz": 2}


def _value(how):
    if how == "array":
        return st.sampled_from([*ARRAYS, *MEMBERS, ENCRYPTED])
    if how == "json":
        return st.one_of(JSON, st.just(REMOVED))
    if how == "flip":
        return st.integers(0, 7)
    return st.one_of(st.text(max_size=10), JSON.map(json.dumps))


def _ways(file):
    """Those that fit the file come twice."""
    fitting = {".json": ["json"] * 8, ".npz": ["array"] * 8}.get(Path(file).suffix, [])
    return [*WAYS, *fitting, "flip", "truncate", "flip"]


@st.composite
def damages(draw, files: Sequence[str]) -> Damage:
    """A damage of one of the files."""
    file = draw(st.sampled_from(files))
    how = draw(st.sampled_from(_ways(file)))
    where = draw(st.floats(0, 1, exclude_max=True))
    return Damage(file, how, where, draw(_value(how)))


def cases(work: Path) -> st.SearchStrategy[Case]:
    """Cases of a scene whose working folder is `work`."""
    return _cases({victim: _files(work, victim) for victim in READERS})


def _files(work, victim):
    place = work / victim
    found = [place] if place.is_file() else [each for each in place.rglob("*") if each.is_file()]
    return sorted(each.relative_to(work).as_posix() for each in found)


@st.composite
def _cases(draw, files) -> Case:
    victims = [name for name in READERS if files[name] for _ in range(WEIGHTS.get(name, 1))]
    victim = draw(st.sampled_from(victims))
    argv = draw(st.sampled_from(READERS[victim]))
    done = draw(st.lists(damages(files[victim]), min_size=1, max_size=2))
    return Case("files", argv, tuple(done))
