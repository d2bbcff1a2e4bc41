import pytest

from keras_ganvae.data import room

KB = 1024


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """`machine(available_kb, groups, files)`: /proc and /sys as a Linux machine has them."""

    def make(available, groups="0::/\n", files=()):
        (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {available} kB\n")
        (tmp_path / "own").write_text(groups)
        for name, content in dict(files).items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")
        monkeypatch.setattr(room, "_MEMINFO", tmp_path / "meminfo")
        monkeypatch.setattr(room, "_OWN_CGROUP", tmp_path / "own")
        monkeypatch.setattr(room, "_CGROUPS", tmp_path / "groups")

    return make


def _group(folder, limit, used, pages=0, names=("max", "current"), field="inactive_file"):
    most, current = names
    return {
        f"{folder}memory.{most}": limit,
        f"{folder}memory.{current}": used,
        f"{folder}memory.stat": f"anon 1\n{field} {pages}",
    }


def test_without_limits(machine):
    machine(500)
    assert room.free_memory() == 500 * KB


def test_a_containers_limit(machine):
    machine(500, files=_group("", 100 * KB, 30 * KB, 5 * KB))
    assert room.free_memory() == 75 * KB


def test_a_group_without_a_limit(machine):
    machine(500, "0::/user/me\n", _group("user/me/", "max", 30 * KB))
    assert room.free_memory() == 500 * KB


def test_the_limit_of_a_group_around(machine):
    files = _group("user/me/", "max", 0) | _group("user/", 90 * KB, 80 * KB)
    machine(500, "0::/user/me\n", files)
    assert room.free_memory() == 10 * KB


def test_the_first_version_of_control_groups(machine):
    names = ("limit_in_bytes", "usage_in_bytes")
    files = _group("memory/job/", 100 * KB, 60 * KB, 2 * KB, names, "total_inactive_file")
    machine(500, "4:cpu,cpuacct:/other\n3:memory:/job\n", files)
    assert room.free_memory() == 42 * KB


def test_a_limit_that_is_used_up(machine):
    machine(500, files=_group("", 100, 200))
    assert room.free_memory() == 0


def test_no_linux(tmp_path, monkeypatch):
    for name in ("_MEMINFO", "_OWN_CGROUP", "_CGROUPS"):
        monkeypatch.setattr(room, name, tmp_path / "nowhere")
    assert room.free_memory() > 1 << 20


def test_this_machine():
    assert room.free_memory() > 1 << 20


def test_the_disk_of_a_folder_to_come(tmp_path):
    assert room.free_disk(tmp_path / "not" / "yet") > 0
    (tmp_path / "file").write_text("")
    assert room.free_disk(tmp_path / "file" / "below") == 0


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
def test_sizes(count, text):
    assert room.size(count) == text
