import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_ganvae import architectures

ROOT = Path(__file__).parents[2]
COMMANDS = [
    "train",
    "sample",
    "reconstruct",
    "interpolate",
    "traverse",
    "manifold",
    "animate",
    "evaluate",
    "compare",
    "export",
    "verify",
    "benchmark",
    "demo",
    "web",
    "datasets",
    "doctor",
]
SMALL = [
    "--dataset",
    "synthetic",
    "--limit",
    "64",
    "--epochs",
    "1",
    "--batch-size",
    "32",
    "--latent-dim",
    "4",
]


def _is_one_line(stderr):
    return stderr.startswith("keras-ganvae: ") and stderr.count("\n") == 1


# In a process of its own, without TensorFlow.


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_imports_no_tensorflow(terminal, arguments):
    done = terminal(*arguments, "--help", python_options=("-X", "importtime"))
    assert done.returncode == 0
    assert "usage: keras-ganvae" in done.stdout and "--help" in done.stdout
    for heavy in ("tensorflow", "keras", "matplotlib", "sklearn"):
        assert not any(
            line.rsplit("|", 1)[-1].strip() == heavy for line in done.stderr.splitlines()
        ), heavy


@pytest.fixture
def help_of(capsys):
    """`help_of(*arguments)`: what `--help` prints."""
    from keras_ganvae.cli.main import main

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([*arguments, "--help"])
        assert stopped.value.code == 0
        return capsys.readouterr().out

    return call


def test_help_lists_every_command(help_of):
    out = help_of()
    assert all(f"    {name}  " in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns(help_of, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, help_of(name).splitlines())) < 80


def test_help_of_train_groups_its_options(help_of):
    sections = help_of("train").split("\n\n")
    section_of = {text.splitlines()[0]: text for text in sections}
    assert "--image-size" in section_of["data:"] and "--arch" in section_of["model:"]
    assert "--epochs" in section_of["training:"] and "--jit" in section_of["hardware:"]
    assert "--dropout" in section_of["GAN:"] and "--beta " in section_of["VAE:"]
    assert "--out DIR" in section_of["output:"]


def test_help_of_train_has_the_defaults_of_the_presets(help_of):
    out = " ".join(help_of("train").split())
    presets = {name: architectures.load(name).PRESETS["default"] for name in architectures.names()}
    epochs = ", ".join(f"{name} {preset['epochs']}" for name, preset in presets.items())
    assert f"passes over the training images (default {epochs})" in out
    assert "optimizer of every network (default adam)" in out
    assert "random seed (default 0)" in out


RECORD = (
    '{"arch": "gan", "config": {"arch": "gan"}, "dataset": {"fingerprint": "0"}, "versions": {},'
    ' "command": "keras-ganvae train"}'
)
BAD = {
    "no command": ("", "COMMAND"),
    "unknown command": ("trian --arch vae", "unknown command 'trian'; did you mean train?"),
    "no arch": ("train", "--arch must be given: cvae, dcgan, gan, vae"),
    "unknown arch": ("train --arch cave", "unknown architecture 'cave'; did you mean 'cvae'?"),
    "unknown option": ("train --arch vae --epoch 3", "'--epoch'; did you mean --epochs?"),
    "stray word": ("train --arch vae now", "unknown argument 'now'"),
    "value missing": ("train --arch", "--arch: expected one argument"),
    "only dashes": ("sample run --out=--", "--out: expected a value, not '--'"),
    "epochs 0": ("train --arch vae --epochs 0", "--epochs must be at least 1, not 0"),
    "epochs a word": ("train --arch vae --epochs many", "invalid int value: 'many'"),
    "batch -1": ("train --arch vae --batch-size -1", "--batch-size must be at least 1, not -1"),
    "latent 0": ("train --arch vae --latent-dim 0", "--latent-dim must be at least 1"),
    "rate nan": ("train --arch vae --learning-rate nan", "--learning-rate must be finite"),
    "rate 0": ("train --arch vae --learning-rate 0", "--learning-rate must be greater than 0"),
    "seed -1": ("train --arch vae --seed -1", "--seed must be at least 0, not -1"),
    "choice": ("train --arch vae --binarize round", "unknown --binarize 'round'"),
    "preset": ("train --arch vae --preset papr", "did you mean 'paper'?"),
    "jit": ("train --arch vae --jit maybe", "unknown --jit 'maybe'; known: auto, on, off"),
    "set key": ("train --arch vae --set epoch=3", "unknown setting 'epoch'; did you mean 'epochs'"),
    "set form": ("train --arch vae --set epochs", "a setting must be KEY=VALUE, not 'epochs'"),
    "config missing": ("train --arch vae --config {tmp}/no.toml", "can't read config file"),
    "config key": ("train --arch vae --config {tmp}/bad.toml", "'epoch'; did you mean 'epochs'"),
    "config form": ("train --arch vae --config {tmp}/broken.toml", "is not TOML"),
    "out a run": ("train --arch vae --out {tmp}/old", "already holds a run; --overwrite"),
    "out a project": ("train --arch vae --out {tmp}/run --overwrite", "not empty and not a run"),
    "out the data": (
        "train --arch vae --dataset npz:{tmp}/old/data.npz --out {tmp}/old --overwrite",
        "holds the input",
    ),
    "out empty": ("train --arch vae --out=", "--out is empty"),
    "out not a run": ("train --arch vae --out {tmp}/full", "not empty and not a run"),
    "out a file": ("train --arch vae --out {tmp}/bad.toml", "is a file"),
    "out in a file": ("train --arch vae --out {tmp}/bad.toml/run", "bad.toml is not a folder"),
    "no run": ("sample {tmp}/none --out {tmp}/a.png", "no run folder at"),
    "not a run": ("reconstruct {tmp}/full --out {tmp}/a.png", "it has no config.json"),
    "damaged run": ("animate {tmp}/run --out {tmp}/a.gif", "config.json is damaged"),
    "no out": ("sample {tmp}/run", "--out"),
    "count 0": ("sample {tmp}/run --count 0 --out {tmp}/a.png", "--count must be at least 1"),
    "count -3": ("sample {tmp}/run --count -3 --out {tmp}/a.png", "--count must be at least 1"),
    "count a word": ("sample {tmp}/run --count ten --out {tmp}/a.png", "invalid int value"),
    "sample seed": ("sample {tmp}/run --seed -1 --out {tmp}/a.png", "--seed must be at least 0"),
    "walk seed": ("interpolate {tmp}/run --seed -1 --out {tmp}/a.png", "--seed must be at least 0"),
    "prior": ("sample {tmp}/run --prior uniform --out {tmp}/a.png", "invalid choice: 'uniform'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_changes_no_file(terminal, tmp_path, case):
    for folder, name in (("run", "config.json"), ("full", "thesis.txt")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("precious")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.json").write_text(RECORD)
    (tmp_path / "old" / "data.npz").write_text("precious")
    (tmp_path / "bad.toml").write_text("epoch = 3\n")
    (tmp_path / "broken.toml").write_text("epochs: 3\n")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    arguments, message = BAD[case]
    done = terminal(*arguments.format(tmp=tmp_path).split())
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert _is_one_line(done.stderr), done.stderr
    after = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    assert after == before


def test_debug_shows_the_traceback(terminal):
    done = terminal("train", "--arch", "vae", "--epochs", "0", "--debug")
    assert done.returncode != 0 and "Traceback" in done.stderr


def test_a_deleted_current_folder(tmp_path):
    gone = tmp_path / "gone"
    code = "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])\n"
    code += "from keras_ganvae.cli.main import main; sys.exit(main(sys.argv[2:]))"
    for arguments in (["train", "--arch", "vae", "--dry-run"], ["sample", "run", "--out", "a.png"]):
        gone.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code, gone, *arguments], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 2 and "the current folder was deleted" in done.stderr
        assert _is_one_line(done.stderr)


# In a process of its own, with TensorFlow.


@pytest.fixture(scope="module")
def trained(terminal, tmp_path_factory):
    """A run trained in its own process, and that process's result."""
    path = tmp_path_factory.mktemp("terminal") / "run"
    return path, terminal("train", "--arch", "vae", *SMALL, "--out", path)


def test_train_prints_results_to_stdout_and_logs_to_stderr(trained):
    path, done = trained
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == f"run {path}"
    assert {line.split()[0] for line in lines} >= {"epoch", "loss", "kl", "val_loss", "run"}
    assert "epoch 1/1" in done.stderr and "synthetic" in done.stderr
    for chatter in ("oneDNN", "cuda", "absl", "Traceback", "Warning"):
        assert chatter not in done.stderr


def test_sample_gives_the_same_bytes_in_another_process(trained, terminal, command, tmp_path):
    path, _ = trained
    outs = [tmp_path / f"{i}.png" for i in range(2)]
    done = terminal("sample", path, "--count", 9, "--seed", 2, "--out", outs[0])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(outs[0])
    assert "9 samples of vae on synthetic, prior: mixture of" in done.stdout
    assert done.stderr == ""
    assert command("sample", path, "--count", 9, "--seed", 2, "--out", outs[1])[0] == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_a_batch_larger_than_the_data_is_rejected(terminal, tmp_path):
    arguments = ["--arch", "gan", "--dataset", "synthetic", "--limit", 64, "--batch-size", 65]
    done = terminal("train", *arguments, "--out", tmp_path / "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--batch-size 65 is larger than the 64 training images" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "run").exists()


# In this process.


@pytest.mark.parametrize("arch", architectures.names())
def test_every_picture_command_draws(command, run_of, tmp_path, arch):
    run = run_of(arch)
    commands = ["sample", "interpolate", "traverse", "manifold"]
    commands += ["reconstruct"] if run.is_variational else []
    for name in commands:
        out = tmp_path / f"{name}.png"
        code, said, logs = command(name, run.path, "--out", out)
        assert code == 0, logs
        assert said.splitlines()[-1] == str(out) and arch in said
        with Image.open(out) as image:
            assert np.ptp(np.asarray(image)) > 50
    code, said, _ = command("animate", run.path, "--out", tmp_path / "a.gif")
    assert code == 0 and "fixed noise" in said
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 2


@pytest.mark.parametrize(
    ("prior", "expected"), [("normal", "prior N(0, I)"), ("mixture", "prior: mixture of")]
)
def test_sample_from_either_prior(command, run_of, tmp_path, prior, expected):
    out = tmp_path / "a.npz"
    code, said, _ = command("sample", run_of("cvae").path, "--prior", prior, "--out", out)
    assert code == 0 and expected in said
    with np.load(out) as arrays:
        assert expected in str(arrays["description"]) and len(arrays["samples"]) == 64


@pytest.mark.parametrize(
    ("arch", "arguments", "message"),
    [
        ("gan", "reconstruct --out {tmp}/a.png", "holds a gan, which can't reconstruct"),
        ("dcgan", "sample --prior mixture --out {tmp}/a.png", "its prior is N(0, I)"),
        ("vae", "sample --out {tmp}/a.jpg", "must be .png (one grid)"),
        ("vae", "manifold --out {tmp}/a.jpg", "must be a .png file"),
        ("vae", "animate --out {tmp}/a.png", "must be a .gif file"),
        ("vae", "sample --out {tmp}/full/", "is not empty"),
    ],
)
def test_pictures_that_a_run_cannot_give(command, run_of, tmp_path, arch, arguments, message):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    name, *options = arguments.format(tmp=tmp_path).split()
    code, out, err = command(name, run_of(arch).path, *options)
    assert (code, out) == (2, "") and message in err and _is_one_line(err)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.keras", "truncated"),
        ("prior.npz", "missing"),
        ("prior.npz", "truncated"),
        ("config.json", "missing"),
        ("config.json", "truncated"),
    ],
)
def test_incomplete_or_damaged_runs_are_rejected(command, run_of, tmp_path, name, damage):
    path = shutil.copytree(run_of("vae").path, tmp_path / "run")
    if damage == "missing":
        (path / name).unlink()
    else:
        (path / name).write_bytes((path / name).read_bytes()[:150])
    for name_of_command in ("sample", "reconstruct", "manifold"):
        code, out, err = command(name_of_command, path, "--out", tmp_path / "a.png")
        assert (code, out) == (2, "") and _is_one_line(err)
        assert str(path) in err and (name in err or "not a run" in err)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "syntetic"], "did you mean synthetic"),
        (["--dataset", "folder:/nowhere/at/all"], "/nowhere/at/all"),
        (["--dataset", "npz:/nowhere.npz"], "/nowhere.npz"),
        (["--image-size", "30"], "multiples of 4, not 30x30"),
        (["--generator-loss", "saturating"], "--generator-loss is a setting of GANs"),
        (["--no-dropout"], "--dropout is a setting of GANs"),
    ],
)
def test_training_that_is_rejected(command, tmp_path, arguments, message):
    out = tmp_path / "run"
    code, said, err = command("train", "--arch", "cvae", *SMALL, *arguments, "--out", out)
    assert (code, said) == (2, "") and message in err
    assert "Traceback" not in err and err.splitlines()[-1].startswith("keras-ganvae: ")
    assert not out.exists()


HOSTILE = {
    "arch a number": ("train --config {tmp}/arch.toml", "--arch must be text, not 5"),
    "deep toml": ("train --config {tmp}/deep.toml", "is nested too deeply"),
    "long toml": ("train --config {tmp}/long.toml", "is not TOML"),
    "nul in toml": ("train --config {tmp}/nul.toml", "--dataset must be UTF-8 without NUL"),
    "long number": (f"train --arch vae --epochs {'9' * 400}", "--epochs must be at most"),
    "long set": (f"train --arch vae --set epochs={'9' * 5000}", "must be a whole number"),
    "deep set": (f"train --arch vae --set epochs={'[' * 10**5}", "must be a whole number"),
    "latent": ("train --arch vae --latent-dim 1000000000", "--latent-dim must be at most 4096"),
    "image size": ("train --arch vae --image-size 100000", "--image-size must be at most 4096"),
    "replicas": ("train --arch vae --replicas 1000000000", "--replicas must be at most 256"),
    "long out": (f"train --arch vae --out {{tmp}}/{'a' * 300}", "name or path is too long"),
    "longer out": (f"sample {{tmp}}/run --out {'a/' * 3000}a.png", ""),
    "long run": (f"sample {'a' * 300} --out {{tmp}}/a.png", "name or path is too long"),
    "loop": ("train --arch vae --out {tmp}/loop/run", ""),
    "loop as run": ("sample {tmp}/loop --out {tmp}/a.png", "no run folder"),
    "loop as data": ("train --arch vae --dataset folder:{tmp}/loop --dry-run", ""),
    "root": ("train --arch vae --out /", "or a folder above it"),
    "no user": ("train --arch vae --dataset folder:~no_such_user/x --dry-run", "can't be found"),
    "bytes": ("train --arch vae --out {tmp}/\udcff", "is not valid UTF-8"),
    "long data": (f"train --arch vae --dataset npz:{'a' * 300} --dry-run", "is too long"),
    "long name": (f"train --arch vae --dataset {'a' * 300} --dry-run", ""),
    "count": ("sample {tmp}/run --count 9999999999 --out {tmp}/a.png", "--count must be at most"),
    "importance": (
        f"evaluate {{tmp}}/run --importance-samples {10**30}",
        "--importance-samples must be at most 1000000",
    ),
    "samples": (f"evaluate {{tmp}}/run --samples {10**30}", "--samples must be at most"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_input_is_one_line_and_changes_no_file(command, tmp_path, case):
    for name, content in {
        "arch": "arch = 5",
        "deep": f"arch = {'[' * 10**5}",
        "long": f"epochs = {'9' * 5000}",
        "nul": 'arch = "vae"\ndataset = "folder:\\u0000"',
    }.items():
        (tmp_path / f"{name}.toml").write_text(content)
    (tmp_path / "run").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.rglob("*"))
    arguments, message = HOSTILE[case]
    code, out, err = command(*(each.format(tmp=tmp_path) for each in arguments.split()))
    assert (code, out) == (2, ""), err
    assert message in err and _is_one_line(err) and "unexpected" not in err
    assert sorted(tmp_path.rglob("*")) == before


def test_more_samples_than_fit_in_memory(command, run_of, tiny_bundle, tmp_path):
    for source in (run_of("vae").path, tiny_bundle("vae"), tiny_bundle("vae") / "model.tflite"):
        code, out, err = command("sample", source, "--count", 10**9, "--out", tmp_path / "a.npz")
        assert (code, out) == (2, "") and "--count 1000000000 takes at least 3.94e+03 GB" in err
    assert not list(tmp_path.iterdir())


def test_foreign_files_in_a_run_and_in_a_bundle(command, run_of, tiny_bundle, tmp_path):
    run = shutil.copytree(run_of("vae").path, tmp_path / "run")
    (run / "model_card.json").write_text('["of somebody else"]')
    bundle = shutil.copytree(tiny_bundle("vae"), tmp_path / "bundle")
    (bundle / "config.json").write_text('["of somebody else"]')
    for path in (run, bundle):
        code, _, err = command("sample", path, "--count", 2, "--out", tmp_path / "a.png")
        assert code == 0, err


@pytest.mark.parametrize(
    "card", ["[]", "null", "3", '{"name": 5}', "[" * 10**5, "9" * 5000], ids=lambda each: each[:9]
)
def test_a_foreign_card_alone(command, tmp_path, card):
    (tmp_path / "model_card.json").write_text(card)
    (tmp_path / "a.tflite").write_bytes(b"")
    for source in (tmp_path, tmp_path / "a.tflite"):
        code, out, err = command("sample", source, "--out", tmp_path / "a.png")
        assert (code, out) == (2, "") and "model_card.json" in err and _is_one_line(err)


def test_flags_override_set_which_overrides_config(command, tmp_path):
    """A dry run writes nothing."""
    (tmp_path / "a.toml").write_text(
        'arch = "vae"\ndataset = "synthetic"\nlimit = 64\nepochs = 5\nbatch_size = 16\nseed = 3\n'
    )
    arguments = ["--set", "epochs=6", "--set", "batch_size=8", "--batch-size", 32]
    code, out, _ = command(
        "train", "--config", tmp_path / "a.toml", *arguments, "--dry-run", "--json"
    )
    assert code == 0
    plan = json.loads(out)
    found = {name: plan["settings"][name] for name in ("arch", "seed", "epochs", "batch_size")}
    assert found == {"arch": "vae", "seed": 3, "epochs": 6, "batch_size": 32}
    assert (plan["data"]["train"], plan["cost"]["steps"]) == (64, 12)
    assert set(plan["networks"]) == {"encoder", "decoder"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]


def test_a_dry_run_does_not_change_a_finished_run(command, run_of):
    path = run_of("gan").path
    before = sorted(path.rglob("*"))
    code, out, _ = command("train", "--arch", "gan", *SMALL, "--dry-run", "--out", path)
    assert code == 0 and "MACs per image" in out
    assert sorted(path.rglob("*")) == before


def test_train_prints_json(command, tmp_path):
    code, out, _ = command(
        "train", "--arch", "gan", *SMALL, "--no-dropout", "--out", tmp_path / "run", "--json"
    )
    assert code == 0
    result = json.loads(out)
    assert result["run"] == str(tmp_path / "run") and result["final"]["epoch"] == 1
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["dropout"] is False


def test_a_diverging_run_exits_with_1(command, tmp_path):
    arguments = ["--optimizer", "sgd", "--learning-rate", "1e30", "--set", "schedule=constant"]
    code, out, err = command(
        "train", "--arch", "vae", *SMALL, *arguments, "--out", tmp_path / "run"
    )
    assert (code, out) == (1, "")
    assert "epoch 1, step" in err and "Traceback" not in err


def test_datasets_lists_data_sets(command, tmp_path, monkeypatch):
    from keras_ganvae.data import network

    monkeypatch.setattr(network, "reachable", lambda *_: False)
    code, out, _ = command("datasets", "--data-dir", tmp_path, "--json")
    listed = {each["spec"]: each for each in json.loads(out)}
    assert code == 0 and listed["synthetic"]["on_disk"] and not listed["mnist"]["on_disk"]
    code, out, _ = command("datasets", "--data-dir", tmp_path)
    assert code == 0 and "synthetic" in out and len(out.splitlines()) == len(listed)


def test_doctor_reports_on_this_machine(command, monkeypatch):
    from keras_ganvae.data import network

    monkeypatch.setattr(network, "reachable", lambda *_: False)
    code, out, _ = command("doctor", "--json")
    report = json.loads(out)
    assert code == 0 and report["missing"] == "nothing"
    assert {"version tensorflow", "version keras", "GPU devices", "cores"} <= set(report)
    code, out, _ = command("doctor")
    assert code == 0 and len(out.splitlines()) == len(report)


@pytest.mark.parametrize(
    ("option", "name"),
    [
        (["--latent-dim", "3"], "--latent-dim"),
        (["--dataset", "mnist"], "--dataset"),
        (["--set", "beta=2"], "--set"),
        (["--out", "elsewhere"], "--out"),
    ],
)
def test_a_resumed_run_keeps_its_own_settings(command, run_of, option, name):
    code, _, err = command("train", "--resume", run_of("vae").path, *option)
    assert code == 2
    assert err.count("\n") == 1
    assert f"--resume can't take {name}" in err


def test_resuming_a_finished_run_logs_that_it_is_finished(command, run_of, caplog):
    run = run_of("vae")
    with caplog.at_level("INFO", "keras_ganvae"):
        code, out, _ = command("train", "--resume", run.path)
    assert code == 0
    assert out.splitlines()[-1] == f"run {run.path}"
    assert "is finished; a larger `epochs` extends it" in caplog.text
