import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_ganvae import files
from keras_ganvae.errors import InputError
from keras_ganvae.files import (
    cache_folder,
    check_new_file,
    check_parent,
    recover,
    remove_unfinished,
    replacing,
    replacing_folder,
    sha256_of,
    write_json,
    write_text,
)


def _everything(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("complete")
        assert not path.exists()
        assert (temporary.parent, temporary.suffix) == (path.parent, path.suffix)
    assert path.read_text() == "complete"
    assert _everything(tmp_path) == ["file.txt", "new"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_only(tmp_path, failure):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(failure), replacing(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert _everything(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("writer", [replacing, replacing_folder])
@pytest.mark.parametrize("names", [(), ("/source", None, "/.part-x")])
def test_the_error_of_a_full_disk_names_the_output(tmp_path, writer, names):
    with pytest.raises(OSError) as caught, writer(tmp_path / "new"):
        raise OSError(errno.ENOSPC, "full", *names)
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "new"), None)
    assert _everything(tmp_path) == []


def test_other_errors_keep_their_file_name(tmp_path):
    with pytest.raises(OSError) as caught, replacing_folder(tmp_path / "new"):
        raise OSError(errno.EACCES, "denied", "/source")
    assert caught.value.filename == "/source"


def test_files_and_folders_have_ordinary_permissions(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    write_text(tmp_path / "new file", "")
    with replacing_folder(tmp_path / "new folder"):
        pass
    for name in ("file", "folder"):
        new, ordinary = tmp_path / f"new {name}", tmp_path / name
        assert new.stat().st_mode == ordinary.stat().st_mode


def test_a_folder_is_replaced_with_all_its_files(tmp_path):
    path = tmp_path / "folder"
    for content in ("first", "second"):
        with replacing_folder(path) as temporary:
            (temporary / f"{content}.txt").write_text(content)
        assert _everything(path) == [f"{content}.txt"]
    assert _everything(tmp_path) == ["folder", "second.txt"]


def test_the_target_of_a_link_is_replaced(tmp_path):
    for name in ("folder", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    with replacing_folder(tmp_path / "link") as temporary:
        (temporary / "new.txt").write_text("new")
    assert (tmp_path / "link").is_symlink() and _everything(tmp_path / "folder") == ["new.txt"]


def test_a_device_is_not_replaced(tmp_path):
    with pytest.raises(InputError, match="is not a regular file"):
        write_text("/dev/null", "")
    for path in ("/dev/null", tmp_path):
        with pytest.raises(InputError, match="is not a regular file"):
            check_new_file(path)
    check_new_file(tmp_path / "new" / "file.json")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a writable folder"):
        check_new_file(tmp_path / "file" / "below.json")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="Linux only")
def test_a_folder_that_is_writable_only_by_its_permissions():
    """As on a read-only file system: nobody can create files in /proc, not even root."""
    with pytest.raises(InputError, match="is not a writable folder"):
        check_new_file("/proc/new/file.json")


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_folder_only(tmp_path, failure):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with pytest.raises(failure), replacing_folder(path) as temporary:
        (temporary / "half.txt").write_text("half")
        raise failure
    assert _everything(tmp_path) == ["folder", "old.txt"]


def test_json_reads_back_and_ends_its_line(tmp_path):
    value = {"b": [1, 2.5, None], "a": "é"}
    write_json(tmp_path / "value.json", value)
    text = (tmp_path / "value.json").read_text()
    assert json.loads(text) == value and text.endswith("}\n")


def test_a_checksum(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")  # the example of FIPS 180-2
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "file") == digest


def test_unfinished_files_are_removed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept.txt").touch()
    killed = [replacing(tmp_path / "folder" / "file"), replacing_folder(tmp_path / "other")]
    for writer in killed:
        writer.__enter__()
    assert len(_everything(tmp_path)) == 4
    remove_unfinished(tmp_path)
    assert _everything(tmp_path) == ["folder", "kept.txt"]


def test_the_parent_of_an_output_must_be_a_folder(tmp_path):
    check_parent(tmp_path / "new" / "out")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"`out=\S+/file/out`: \S+/file is not a folder"):
        check_parent(tmp_path / "file" / "out")


# What a killed process leaves


KILLED = """
import os, signal, sys
from keras_ganvae import files

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def kill_after(rename):
    def renamed(source, target):
        rename(source, target)
        kill()
    return renamed

path, moment = sys.argv[1:]
if moment == "exchanged":
    files.shutil.rmtree = lambda *_, **__: kill()
elif moment == "first rename":
    files._exchange = lambda *_: False
    os.replace = kill_after(os.replace)
with files.replacing_folder(path) as folder:
    (folder / "new.txt").write_text("new")
    if moment == "writing":
        kill()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="kills processes as on Linux")
@pytest.mark.parametrize("moment", ["writing", "exchanged", "first rename"])
def test_a_killed_process_loses_no_folder(tmp_path, moment):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old.txt").write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, path, moment], check=False)
    assert done.returncode == -9 and len(list(tmp_path.iterdir())) == 2
    recover(path)
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
    assert _everything(path) == (["new.txt"] if moment == "exchanged" else ["old.txt"])


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    path = tmp_path / "folder"
    script = [sys.executable, "-c", KILLED, path, "writing"]
    assert subprocess.run(script, check=False).returncode == -9
    assert len(_everything(tmp_path)) == 2
    with replacing_folder(path):
        assert len(list(tmp_path.iterdir())) == 1
    assert _everything(tmp_path) == ["folder"]


def test_what_others_are_still_writing_stays(tmp_path):
    with replacing_folder(tmp_path / "one") as one, replacing_folder(tmp_path / "two") as two:
        for name in ("one", "two"):
            recover(tmp_path / name)
        assert one.is_dir() and two.is_dir()
    assert _everything(tmp_path) == ["one", "two"]


def test_what_a_process_left_whose_number_another_has_is_removed(tmp_path):
    path = tmp_path / "folder"
    with replacing_folder(path) as temporary:
        name = temporary.name.replace(f"-{os.getpid()}-", f"-{os.getppid()}-")
    for age, left in ((0, 1), (1e9, 0)):
        (tmp_path / name).mkdir(exist_ok=True)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
        recover(path)
        assert len(list(tmp_path.glob(".part-*"))) == left


def test_a_folder_that_can_not_be_replaced_keeps_its_name(tmp_path, monkeypatch):
    def replace(source, target):
        if target == path and source.name.startswith(".part-") and not source.name.endswith("-old"):
            raise OSError(errno.ENOSPC, "full")
        rename(source, target)

    rename = os.replace
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old.txt").touch()
    monkeypatch.setattr(files.sys, "platform", "plan9")
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="full"), replacing_folder(path) as temporary:
        (temporary / "new.txt").touch()
    assert _everything(tmp_path) == ["folder", "old.txt"]


def test_a_folder_is_replaced_without_an_exchange_of_names_too(tmp_path, monkeypatch):
    monkeypatch.setattr(files.sys, "platform", "plan9")
    path = tmp_path / "folder"
    for content in ("first", "second"):
        with replacing_folder(path) as temporary:
            (temporary / f"{content}.txt").write_text(content)
    assert _everything(tmp_path) == ["folder", "second.txt"]


def test_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("images") == tmp_path / "keras-ganvae" / "images"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "keras-ganvae"
