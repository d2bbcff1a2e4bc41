import errno
import json
import os
import tempfile

import pytest

from keras_ganvae.errors import InputError
from keras_ganvae.files import check_new_file, replacing, replacing_folder, write_json, write_text


def _everything(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_replacing_appears_at_the_end_only(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as beside:
        beside.write_text("whole")
        assert not path.exists()
        assert (beside.parent, beside.suffix) == (path.parent, path.suffix)
    assert path.read_text() == "whole"
    assert _everything(tmp_path) == ["file.txt", "new"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path, failure):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(failure), replacing(path) as beside:
        beside.write_text("half")
        raise failure
    assert path.read_text() == "old"
    assert _everything(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("writer", [replacing, replacing_folder])
@pytest.mark.parametrize("names", [(), ("/source", None, "/.part-x")])
def test_a_full_disk_is_that_of_what_is_written(tmp_path, writer, names):
    with pytest.raises(OSError) as caught, writer(tmp_path / "new"):
        raise OSError(errno.ENOSPC, "full", *names)
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "new"), None)
    assert _everything(tmp_path) == []


def test_another_error_keeps_its_own_file(tmp_path):
    with pytest.raises(OSError) as caught, replacing_folder(tmp_path / "new"):
        raise OSError(errno.EACCES, "denied", "/source")
    assert caught.value.filename == "/source"


def test_a_new_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "ordinary").write_text("")
    write_text(tmp_path / "replaced", "")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_folder_is_swapped_whole(tmp_path):
    path = tmp_path / "folder"
    for content in ("first", "second"):
        with replacing_folder(path) as beside:
            (beside / f"{content}.txt").write_text(content)
        assert _everything(path) == [f"{content}.txt"]
    assert _everything(tmp_path) == ["folder", "second.txt"]
    assert path.stat().st_mode & 0o777 == 0o777 & ~_umask()


def test_what_a_link_leads_to_is_replaced(tmp_path):
    for name in ("folder", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    with replacing_folder(tmp_path / "link") as beside:
        (beside / "new.txt").write_text("new")
    assert (tmp_path / "link").is_symlink() and _everything(tmp_path / "folder") == ["new.txt"]


def test_a_device_is_not_replaced(tmp_path):
    with pytest.raises(InputError, match="is no file that could be replaced"):
        write_text("/dev/null", "")
    for path in ("/dev/null", tmp_path):
        with pytest.raises(InputError, match="is no file"):
            check_new_file(path)
    check_new_file(tmp_path / "new" / "file.json")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a writable folder"):
        check_new_file(tmp_path / "file" / "below.json")


def test_a_folder_that_no_file_can_be_made_in(tmp_path, monkeypatch):
    """Whatever its permissions say, as on a read-only disk."""

    def refused(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    with pytest.raises(InputError, match="is not a writable folder"):
        check_new_file(tmp_path / "new" / "file.json")


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_folder_and_no_litter(tmp_path, failure):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with pytest.raises(failure), replacing_folder(path) as beside:
        (beside / "half.txt").write_text("half")
        raise failure
    assert _everything(tmp_path) == ["folder", "old.txt"]


def test_json_reads_back_and_ends_its_line(tmp_path):
    value = {"b": [1, 2.5, None], "a": "é"}
    write_json(tmp_path / "value.json", value)
    text = (tmp_path / "value.json").read_text()
    assert json.loads(text) == value and text.endswith("}\n")
