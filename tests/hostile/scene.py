"""The place where a case happens: victims, bystanders, and things that are not what they seem.

    work/     the working folder: runs, bundles, a site, a comparison, data, somebody's files
    home/ cache/ tmp/   of the command's environment

A template of it is made once and kept; `mirror` makes a scene equal to it again.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

import filelock
import numpy as np
from PIL import Image

import keras_ganvae
from hostile.forkserver import NOBODY, ForkServer, Limits
from keras_ganvae.files import cache_folder

# The least work that every command accepts: features need 129 images or more.
TINY = ("--dataset", "synthetic", "--limit", "160", "--epochs", "1", "--batch-size", "64")
TINY += ("--latent-dim", "2", "--jit", "off")
MEASURE = ("--samples", "130", "--importance-samples", "2", "--bound-images", "4")
MEASURE += ("--neighbours", "2", "--features", "digits")
BUILD = (
    ("train", "--arch", "vae", *TINY, "--out", "run"),
    ("train", "--arch", "gan", *TINY, "--out", "gan"),
    ("export", "run", "--formats", "float32", "sampler", "--out", "bundle"),
    ("evaluate", "run", *MEASURE),
    ("compare", "run", *MEASURE, "--out", "comparison"),
    ("web", "bundle", "--out", "site"),
)
PRECIOUS = ("notes.md", "thesis/chapter.txt", "images/a/0.png", "data.npz")
SECRET = "the bystander's secret"


def template(server: ForkServer) -> Path:
    """The folder of the template of this version of the package; made if it is not there."""
    folder = cache_folder("tests", f"hostile-{_digest()}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.exists():
            _build(server, folder)
    return folder


def _digest():
    digest = hashlib.sha256()
    for module in sorted(Path(keras_ganvae.__file__).parent.rglob("*.py")) + [Path(__file__)]:
        digest.update(module.read_bytes())
    return digest.hexdigest()[:16]


def _build(server, folder):
    with tempfile.TemporaryDirectory(prefix="hostile-") as beside:
        root = open_to_all(Path(beside)) / "template"
        _make_bystanders(root)
        _give_to_nobody(root, *root.rglob("*"))
        for argv in BUILD:
            done = server.run(argv, root, limits=Limits(seconds=300))
            if done.code:
                raise RuntimeError(f"{argv} ended with {done.code}\n{done.err}")
        _make_unfinished(root / "work")
        shutil.rmtree(root / "cache")
        (root / "cache").mkdir()
        _make_odd(root / "work")
        mirror(root, folder.with_name(f"{folder.name}-part"))
        folder.with_name(f"{folder.name}-part").rename(folder)


def _make_bystanders(root):
    for name in ("work", "home/tfds", "cache", "tmp"):
        (root / name).mkdir(parents=True)
    work, rng = root / "work", np.random.default_rng(0)
    (work / "notes.md").write_text(f"# Notes\n{SECRET}\n")
    (work / "thesis").mkdir()
    (work / "thesis" / "chapter.txt").write_text("years of work\n")
    (work / "empty").mkdir()
    (work / "settings.toml").write_text('arch = "vae"\nepochs = 1\n')
    pixels = rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    np.savez(work / "data.npz", x_train=pixels, y_train=np.arange(60) % 3)
    for label in "ab":
        (work / "images" / label).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(pixels[i, :, :, 0]).save(work / "images" / label / f"{i}.png")


def _make_unfinished(work):
    shutil.copytree(work / "run", work / "unfinished")
    (work / "unfinished" / "model.keras").unlink()


def _make_odd(work):
    odd = work / "odd"
    odd.mkdir()
    os.mkfifo(odd / "fifo.png")
    (odd / "loop.png").symlink_to("loop.png")
    (odd / "dangling").symlink_to("nowhere")
    (odd / "to-run").symlink_to("../run")
    (odd / "to-notes.png").symlink_to("../notes.md")
    (odd / "folder.png").mkdir()
    (odd / "text.npz").write_text("not an archive\n")
    (odd / "empty.tflite").write_text("")
    (odd / "sealed").mkdir(0o555)


def open_to_all(folder: Path) -> Path:
    """Let any user enter a folder that `tempfile` made."""
    folder.chmod(0o755)
    return folder


# Relative path: what tells whether an entry has changed.
Snapshot = dict[str, tuple]


def snapshot(root: Path, *parts: str) -> Snapshot:
    """The entries of a folder's parts, or of all of it; links are not followed."""
    found: Snapshot = {}
    pending = [root / part for part in parts] or list(root.iterdir())
    while pending:
        path = pending.pop()
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        kind = stat.S_IFMT(status.st_mode)
        state: tuple = (status.st_mode,)
        if kind == stat.S_IFREG:
            state += (status.st_size, status.st_mtime_ns)
        elif kind == stat.S_IFLNK:
            state += (os.readlink(path),)
        elif kind == stat.S_IFDIR and os.access(path, os.R_OK | os.X_OK):
            pending += path.iterdir()
        found[path.relative_to(root).as_posix()] = state
    return found


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """The paths that were made, changed or removed, parents first."""
    names = before.keys() | after.keys()
    return sorted(name for name in names if before.get(name) != after.get(name))


def mirror(source: Path, target: Path) -> None:
    """Make `target` equal to `source`; only what differs is written."""
    if not target.exists():
        target.mkdir(parents=True)
        _give_to_nobody(target)
    wanted = snapshot(source)
    changed = differences(wanted, snapshot(target))
    for name in reversed(changed):
        if not (name in wanted and stat.S_ISDIR(wanted[name][0])):
            _remove(target / name)
    for name in changed:
        if name in wanted:
            _copy(source / name, target / name, wanted[name][0])
    for name in changed:
        if name in wanted and not stat.S_ISLNK(wanted[name][0]):
            (target / name).chmod(stat.S_IMODE(wanted[name][0]))


def _copy(source, target, mode):
    if stat.S_ISDIR(mode):
        if target.is_symlink() or not target.is_dir():
            _remove(target)
            target.mkdir()
    elif stat.S_ISLNK(mode):
        target.symlink_to(os.readlink(source))
    elif stat.S_ISFIFO(mode):
        os.mkfifo(target)
    else:
        shutil.copy2(source, target)
    _give_to_nobody(target)


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        _unseal(path)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _unseal(folder):
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def _give_to_nobody(*paths):
    """The commands run as nobody if the tests run as root, see `forkserver`."""
    if os.geteuid() == 0:
        for path in paths:
            os.lchown(path, NOBODY, NOBODY)
