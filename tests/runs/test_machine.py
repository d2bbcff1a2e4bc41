"""What a run records about the machine, and how another one differs."""

import os
import subprocess
import sys

import pytest

from keras_ganvae import runtime
from keras_ganvae.runs import machine


@pytest.fixture
def record(monkeypatch):
    """The record of this machine, with two threads."""
    monkeypatch.setenv(runtime.THREADS, "2")
    return machine.here()


def test_the_same_machine_does_not_differ(record):
    assert record["versions"] == runtime.versions()
    assert record["machine"]["threads"] == 2
    assert all(type(each) in (str, int) for each in record["machine"].values())
    assert machine.differences(record) == []


@pytest.mark.parametrize(
    ("name", "value", "difference"),
    [
        (runtime.THREADS, "3", "threads: 2, here 3"),
        ("TF_ENABLE_ONEDNN_OPTS", "0", "settings: , here TF_ENABLE_ONEDNN_OPTS=0"),
    ],
)
def test_a_setting_of_the_environment_is_a_difference(record, monkeypatch, name, value, difference):
    monkeypatch.setenv(name, value)
    assert machine.differences(record) == [difference]


@pytest.mark.parametrize("setting", ["", "0", "two"])
def test_without_a_setting_an_operation_uses_the_processors_of_this_process(monkeypatch, setting):
    monkeypatch.setenv(runtime.THREADS, setting)
    expected = os.cpu_count()
    if hasattr(os, "sched_getaffinity"):
        expected = len(os.sched_getaffinity(0))
    assert machine.here()["machine"]["threads"] == expected


def test_tensorflows_own_setting_is_recorded():
    script = (
        "import tensorflow as tf; tf.config.threading.set_intra_op_parallelism_threads(5)\n"
        "from keras_ganvae.runs import machine; print(machine.here()['machine']['threads'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "5", done.stderr


@pytest.mark.parametrize(
    ("text", "processor", "instructions"),
    [
        (
            "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: sse fma avx2 smep avx\n\n"
            "processor\t: 1\nmodel name\t: other\n",
            "Xeon",
            "avx avx2 fma",
        ),
        ("processor\t: 0\nFeatures\t: fp asimd crc32 sve2\n", None, "asimd sve2"),
        ("", None, ""),
    ],
)
def test_the_processor_is_that_of_cpuinfo(monkeypatch, tmp_path, text, processor, instructions):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    found = machine.here()["machine"]
    assert found["instructions"] == instructions
    assert found["processor"] and processor in (None, found["processor"])
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    assert machine.here()["machine"]["instructions"] == ""


def test_versions_are_compared_if_they_change_the_rounding(record):
    record["versions"] |= {"tensorflow": "2.0", "python": "3.0"}
    (difference,) = machine.differences(record)
    assert difference.startswith("tensorflow: 2.0, here ")


@pytest.mark.parametrize("damage", [{"machine": None}, {"machine": "here"}, {"machine": []}])
def test_a_record_without_a_machine_does_not_differ(record, damage):
    assert machine.differences({"versions": {}} | damage) == []
    assert machine.differences({"machine": record["machine"], "versions": 3}) != []
