"""The page of a GPU check: what fails, what is left open, what is refused."""

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
GPU = {"device_name": "NVIDIA A100-SXM4-80GB", "compute_capability": [8, 0]}
MACHINE = {
    "machine": {"processor": "a processor", "threads": 8, "settings": ""},
    "versions": {"python": "3.11.7", "tensorflow": "2.21.0"},
    "system": "Linux",
    "devices": [GPU, GPU],
    "why_no_gpu": None,
    "driver": "570.86.10",
    "built_for": {"cuda": "12.5.1", "cudnn": "9"},
    "installed": ["nvidia-cudnn-cu12 9.3.0.75"],
    "tf32": True,
}
PRESET = {
    "batch": 128,
    "steps_per_execution": 2048,
    "images_per_second_by_step": 123_456.7,
    "images_per_second": 1_234_567.8,
    "loop_ratio": 8.0,
    "xla_ratio": 10.0,
    "gflops": 12_345.6,
    "product_gflops": 98_765.4,
    "product_side": 8192,
    "share_of_product": 0.125,
}
TRAINING = {
    "images_per_second": 1_234_567.8,
    "executions": 60,
    "memory_second": 400_000_000,
    "memory_last": 400_000_000,
    "peak_memory": 500_000_000,
    "memory_growth": True,
    "finite": True,
}
RESULTS = {
    "machine": MACHINE,
    "preset": PRESET,
    "training": TRAINING,
    "jit": {"jit": "on", "reason": "1.50x throughput, measured"},
    "distance": {"distance": 0},
}
CHECKS = (
    *("machine", "throughput", "memory", "determinism", "resume", "mixed precision", "XLA"),
    "two GPUs",
)


@pytest.fixture(scope="module")
def script():
    """The script as a module; it imports others of its folder."""
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module("check_gpu")
    sys.path.remove(str(SCRIPTS))


@pytest.fixture
def call(script, capsys, tmp_path):
    """`call(*options)`: (exit code, the page as lines, --json's figures, stderr)."""

    def run(*options):
        page, figures = tmp_path / "page.md", tmp_path / "figures.json"
        code = script.main(["--out", str(page), "--json", str(figures), *options])
        err = capsys.readouterr().err
        if not page.exists():
            return code, None, None, err
        return code, page.read_text().splitlines(), json.loads(figures.read_text()), err

    return run


@pytest.fixture
def gpus(script, monkeypatch):
    """Two GPUs on which everything works: `gpus[task]` is what a process finds, or its error.

    No run is trained: each is the same file.
    """
    results = {task: dict(found) for task, found in RESULTS.items()}

    def child(session, task, **arguments):
        if isinstance(results[task], BaseException):
            raise results[task]
        return results[task]

    def train(session, *options, environment=None):
        if "--resume" not in options:
            _write_run(Path(options[options.index("--out") + 1]))

    monkeypatch.setattr(script.Session, "child", child)
    monkeypatch.setattr(script.Session, "train", train)
    monkeypatch.setattr(script, "stop_in_the_middle", lambda options, out, timeout: _write_run(out))
    return results


def _write_run(out):
    """What `check_gpu` reads of a run that was stopped after two steps of its second epoch."""
    state = out / "checkpoint" / "00001-0000002"
    state.mkdir(parents=True)
    np.savez(state / "variables.npz", np.arange(3.0))
    (out / "model.keras").write_bytes(b"model")


def _verdicts(page):
    """The verdict lines by check, unwrapped."""
    text = "\n".join(page).partition("\n## ")[0]
    items = re.findall(r"^- (.+?): (.*(?:\n  .*)*)", text, re.MULTILINE)
    return {name: " ".join(found.split()) for name, found in items}


@pytest.mark.slow
def test_on_a_cpu_the_page_says_what_is_open(script, call, monkeypatch):
    """To save time only the run that is stopped is a new process, and variants are left out."""
    from keras_ganvae.cli import main as cli

    def child(session, task, **arguments):
        if task == "jit":
            return {"jit": "off", "reason": "0.50x throughput, measured"}
        if arguments.get("jit") == "on" or "precision" in arguments:
            return TRAINING
        return json.loads(json.dumps(script.child(task, **arguments)))

    def train(session, *options, environment=None):
        assert cli.main(["train", *options]) == 0

    monkeypatch.setattr(script.Session, "child", child)
    monkeypatch.setattr(script.Session, "train", train)
    monkeypatch.setattr(script.benchmark_training, "product_gflops", lambda: 1.0)  # not used here
    code, page, figures, _ = call("--seconds", "0.2", "--only", "vae")
    found = _verdicts(page)
    assert code == 0, "\n".join(page)
    assert tuple(found) == CHECKS
    assert found["machine"].startswith("not checked: ")
    assert found["two GPUs"] == "not checked: one device"
    for name in ("throughput", "memory", "determinism", "resume", "mixed precision", "XLA"):
        assert found[name].startswith("ok: vae: ") and found[name].endswith(" (no GPU)"), name
    assert re.search(r"stopped after step \d of epoch \d, the same bytes", found["resume"])
    row = next(line for line in page if line.startswith("| vae "))
    assert all(float(cell.strip(" %").replace(",", "")) > 0 for cell in row.split("|")[2:-1])
    assert figures["presets"]["vae"]["product_side"] == 2048
    assert {"vae float32", "vae bfloat16", "vae float16"} < figures["training"].keys()
    assert len(page) <= 80 and max(map(len, page)) <= 80


def test_a_page_of_two_gpus(call, gpus):
    code, page, figures, _ = call()
    found = _verdicts(page)
    assert code == 0 and tuple(found) == CHECKS
    assert all(text.startswith("ok: ") and "no GPU" not in text for text in found.values())
    assert "2 x NVIDIA A100-SXM4-80GB (compute capability 8.0); driver 570" in found["machine"]
    assert "auto is on, on 1.00 x off" in found["XLA"]
    assert any(re.match(r"\| dcgan \| .* 123,457 \| +8.00 \| +10.00 \|", line) for line in page)
    assert "- GPUs: 2 x NVIDIA A100-SXM4-80GB (compute capability 8.0)" in page
    assert len(page) <= 80 and max(map(len, page)) <= 80
    assert figures["verdicts"]["resume"]["status"] == "ok"


@pytest.mark.parametrize(
    ("task", "changes", "check", "reason"),
    [
        ("training", {"finite": False}, "mixed precision", "bfloat16: the loss or a weight is NaN"),
        ("training", {"memory_last": 410_000_000}, "memory", "10.0 MB more after 60 executions"),
        ("training", {"memory_growth": False}, "memory", "memory growth is off"),
        ("distance", {"distance": 0.01}, "two GPUs", "weights differ by 0.01"),
        ("distance", {"distance": float("nan")}, "two GPUs", "weights differ by nan"),
    ],
)
def test_a_wrong_result_fails_its_check(call, gpus, task, changes, check, reason):
    gpus[task] |= changes
    code, page, _, _ = call()
    found = _verdicts(page)
    assert code == 1
    assert found[check].startswith("FAILED: ") and reason in found[check]
    assert found["determinism"].startswith("ok: ")


def test_other_bytes_fail(script, call, gpus, monkeypatch):
    digests = iter(range(100))
    monkeypatch.setattr(script, "arrays", lambda path: next(digests))
    code, page, _, _ = call("--only", "gan")
    for check in ("determinism", "resume"):
        assert _verdicts(page)[check] == (
            "FAILED: gan: not the same bytes (jit on): weights, optimizers and seeds"
        )
    assert code == 1


def test_a_failure_stops_no_other_check(script, call, gpus):
    reason = "Out of memory while trying to allocate " + "a very large block " * 50
    gpus["training"] = script.CheckFailed(script.failure(1, f"Traceback\n{reason}\n\n"))
    gpus["preset"] = KeyError("a mistake")
    code, page, figures, _ = call()
    found = _verdicts(page)
    assert code == 1 and tuple(found) == CHECKS
    for check in ("memory", "mixed precision", "XLA", "two GPUs"):
        assert found[check].startswith("FAILED: cvae, dcgan, gan, vae: Out of memory"), check
    assert "FAILED: cvae, dcgan, gan, vae: KeyError: 'a mistake'" in found["throughput"]
    assert found["determinism"].startswith("ok: ") and figures["training"] == {}
    assert len(page) <= 80 and max(map(len, page)) <= 80


def test_a_failed_process_gives_its_last_line(script, tmp_path):
    session = script.Session(("vae",), 1.0, tmp_path)
    with pytest.raises(script.CheckFailed, match="^keras-ganvae: unknown .*'nope'"):
        session.train("--arch", "nope", "--out", str(tmp_path / "run"))
    with pytest.raises(script.CheckFailed, match="^KeyError: 'nope'$"):
        session.child("nope")
    with pytest.raises(script.CheckFailed, match="^ValueError: no such thing$"):
        script.run(["-c", "raise ValueError('no such thing')"], 60)
    with pytest.raises(script.CheckFailed, match="^killed by SIGKILL$"):
        script.run(["-c", "import os; os.kill(os.getpid(), 9)"], 60)
    with pytest.raises(script.CheckFailed, match="^no end after 1 seconds$"):
        script.run(["-c", "import time; time.sleep(60)"], 1)


def test_a_run_that_can_not_be_stopped_fails(script, tmp_path):
    with pytest.raises(script.CheckFailed, match="ended with 2, not 130: .*--arch"):
        script.stop_in_the_middle(("--out", str(tmp_path / "run")), tmp_path / "run", 60)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seconds", "0"), "--seconds must be greater than 0"),
        (("--seconds", "nan"), "must be greater than 0"),
        (("--only", "resnet"), "invalid choice: 'resnet'"),
        (("--out", "{folder}"), "is not a regular file"),
        (("--out", "{folder}/a", "--json", "{folder}/a"), "name the same file"),
        (("--second", "3"), "unrecognized arguments"),
    ],
)
def test_bad_input_is_one_line(call, tmp_path, options, message):
    code, page, _, err = call(*(each.format(folder=tmp_path) for each in options))
    assert code == 2 and page is None
    assert err.startswith("check_gpu: ") and message in err and err.count("\n") == 1


def test_an_interrupt_leaves_no_page(call, gpus):
    gpus["training"] = KeyboardInterrupt()
    code, page, _, err = call()
    assert (code, page) == (130, None)
    assert err.endswith("check_gpu: interrupted; nothing was written\n")
