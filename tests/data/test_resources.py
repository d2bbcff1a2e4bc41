import psutil
import pytest

from keras_ganvae.data.resources import (
    available_disk,
    available_memory,
    check_images_fit,
    readable_size,
)
from keras_ganvae.errors import InputError

KB = 1024


@pytest.fixture
def left(tmp_path):
    """`left(cgroup, files)`: available memory, for a process in these control groups."""

    def left(cgroup, files):
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(cgroup)
        for name, content in files.items():
            path = tmp_path / "sys/fs/cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")
        return available_memory(tmp_path)

    return left


def _group(folder, limit, used, pages=0, names=("max", "current"), field="inactive_file"):
    limit_name, used_name = names
    return {
        f"{folder}memory.{limit_name}": limit,
        f"{folder}memory.{used_name}": used,
        f"{folder}memory.stat": f"anon 1\n{field} {pages}",
    }


@pytest.fixture
def machine(monkeypatch):
    """A machine with 500 kB of available memory."""
    memory = psutil.virtual_memory()._replace(available=500 * KB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def test_without_control_groups(machine, tmp_path):
    assert available_memory(tmp_path) == 500 * KB


def test_the_limit_of_a_container(machine, left):
    assert left("0::/\n", _group("", 100 * KB, 30 * KB, 5 * KB)) == 75 * KB


def test_a_limit_above_the_memory_of_the_machine(machine, left):
    assert left("0::/\n", _group("", 900 * KB, 30 * KB)) == 500 * KB


def test_a_group_without_a_limit(machine, left):
    assert left("0::/user/me\n", _group("user/me/", "max", 30 * KB)) == 500 * KB


def test_the_limit_of_an_outer_group(machine, left):
    files = _group("user/me/", "max", 0) | _group("user/", 90 * KB, 80 * KB)
    assert left("0::/user/me\n", files) == 10 * KB


def test_control_groups_v1(machine, left):
    names = ("limit_in_bytes", "usage_in_bytes")
    files = _group("memory/job/", 100 * KB, 60 * KB, 2 * KB, names, "total_inactive_file")
    assert left("4:cpu,cpuacct:/other\n3:memory:/job\n", files) == 42 * KB


def test_an_exhausted_limit(machine, left):
    assert left("0::/\n", _group("", 100, 200)) == 0


def test_this_machine():
    assert available_memory() > 1 << 20


def test_the_disk_of_a_folder_that_does_not_exist_yet(tmp_path):
    assert available_disk(tmp_path / "not" / "yet") > 0
    (tmp_path / "file").write_text("")
    assert available_disk(tmp_path / "file" / "below") == 0


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (7, "7 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (156_800_000, "157 MB"),
        (2.5e12, "2.5e+03 GB"),
    ],
)
def test_readable_sizes(count, text):
    assert readable_size(count) == text


def test_images_beyond_the_memory_are_refused(machine, monkeypatch):
    monkeypatch.setattr("keras_ganvae.data.resources._left_in_cgroups", lambda root: [])
    check_images_fit("samples", 100, (32, 32, 1))
    with pytest.raises(InputError, match="`samples` 101 takes .* 517 kB .*; 512 kB .* for 100"):
        check_images_fit("samples", 101, (32, 32, 1))
    check_images_fit("samples", 55, (32, 32, 1), latent_dim=1024)
    with pytest.raises(InputError, match="`samples` 56 takes .* 516 kB .*; 512 kB .* for 55"):
        check_images_fit("samples", 56, (32, 32, 1), latent_dim=1024)
