"""`train`: from settings to a finished run."""

import argparse
import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_ganvae import architectures, runtime
from keras_ganvae.cli.messages import flag, print_lines
from keras_ganvae.cli.parser import Commands, command
from keras_ganvae.config import (
    TrainConfig,
    is_word_or_number,
    parse_setting,
    read_toml,
    scalar_type,
)
from keras_ganvae.distributed.cluster import Cluster
from keras_ganvae.errors import InputError

if TYPE_CHECKING:
    from keras_ganvae.runs.run import Run

# The groups of options in --help.
GROUPS = ("data", "model", "training", "GAN", "VAE", "hardware", "output")
METAVARS = {"dataset": "SPEC", "data_dir": "DIR", "device": "NAME"}
# A resumed run keeps its settings except these: it may train longer, or on another machine.
MACHINE_SETTINGS = ("strategy", "replicas", "device", "cache", "steps_per_execution")
RESUME_SETTINGS = ("epochs", *MACHINE_SETTINGS)


def add(commands: Commands) -> None:
    """Register the command, with one flag for each field of `TrainConfig`."""
    parser = command(commands, "train", run_train, "train a model into a run folder")
    parser.usage = "%(prog)s --arch ARCH [options]\n       %(prog)s --resume RUN [options]"
    parser.epilog = (
        "Defaults are those of --preset default. --dry-run shows every setting of a run."
    )
    parser.add_argument("--config", metavar="FILE", help="read settings from a TOML file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set any setting by its name in config.json; overrides --config",
    )
    groups = {title: parser.add_argument_group(title) for title in GROUPS}
    for setting in dataclasses.fields(TrainConfig):
        _add_setting(groups[setting.metadata["group"]], setting)
    _add_workers(groups["hardware"])
    _add_output(groups["output"])


def _add_setting(group: argparse._ArgumentGroup, setting: dataclasses.Field) -> None:
    """Add the flag of a field of `TrainConfig`; without it, the namespace lacks the name."""
    text = setting.metadata["help"] + _default(setting)
    shared: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
    value_type: Callable[[str], Any] = scalar_type(setting)
    if value_type is bool:
        group.add_argument(flag(setting.name), action=argparse.BooleanOptionalAction, **shared)
        return
    choices = architectures.names() if setting.name == "arch" else setting.metadata["choices"]
    metavar = METAVARS.get(setting.name, "X" if value_type is float else "N")
    if is_word_or_number(setting):
        metavar, value_type = f"{{{','.join(choices)},N}}", _word_or_number
    elif choices:
        metavar = f"{{{','.join(choices)}}}"
    group.add_argument(flag(setting.name), type=value_type, metavar=metavar, **shared)


def _word_or_number(text: str) -> str | int:
    """The number, or a word that `TrainConfig` checks."""
    try:
        return int(text)
    except ValueError:
        return text


def _default(setting: dataclasses.Field) -> str:
    """The default as `--help` shows it: the setting's own or, per architecture, the preset's."""
    if setting.default is not None:
        return f" (default {_shown(setting.default)})"
    presets = {arch: architectures.load(arch).PRESETS["default"] for arch in architectures.names()}
    values = {
        arch: _shown(preset[setting.name])
        for arch, preset in presets.items()
        if setting.name in preset
    }
    if len(set(values.values())) > 1:
        return f" (default {', '.join(f'{arch} {value}' for arch, value in values.items())})"
    return f" (default {next(iter(values.values()))})" if values else ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _add_workers(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--workers",
        metavar="HOST:PORT,...",
        help="addresses for --strategy multi-worker, the chief's first (default TF_CONFIG)",
    )
    group.add_argument(
        "--worker-index",
        type=int,
        metavar="I",
        help="this worker's position in --workers, from 0",
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out", metavar="DIR", help="run folder (default runs/<arch>-<dataset>-<time>)"
    )
    group.add_argument("--overwrite", action="store_true", help="replace the run in --out")
    group.add_argument(
        "--resume", metavar="RUN", help="resume an interrupted run, or extend it to --epochs N"
    )
    group.add_argument(
        "--checkpoint-minutes",
        type=float,
        default=5.0,
        metavar="X",
        help="minutes between checkpoints within an epoch (default 5)",
    )
    group.add_argument(
        "--dry-run", action="store_true", help="show settings, networks and cost without training"
    )
    group.add_argument("--json", action="store_true", help="print the result as JSON")


def run_train(args: argparse.Namespace) -> None:
    """Train or resume a run and print its last epoch, or print what --dry-run finds."""
    if not args.checkpoint_minutes > 0:
        raise InputError(
            f"`checkpoint_minutes` must be greater than 0, not {args.checkpoint_minutes}"
        )
    cluster = Cluster.of(args.workers, args.worker_index)
    if args.resume:
        print_run(_resume(args, cluster), args.json)
    elif args.dry_run:
        print_plan(_plan(args, cluster), args.json)
    else:
        print_run(_train(args, cluster), args.json)


def _train(args: argparse.Namespace, cluster: Cluster | None) -> "Run | None":
    config = train_config(args)
    if args.out is not None:
        from keras_ganvae.runs.run import check_free  # loads NumPy

        check_free(args.out, args.overwrite, config)
    runtime.start(args.debug)
    from keras_ganvae.training.train import train  # loads TensorFlow

    return train(
        config,
        args.out,
        overwrite=args.overwrite,
        checkpoint_minutes=args.checkpoint_minutes,
        cluster=cluster,
    )


def _plan(args: argparse.Namespace, cluster: Cluster | None) -> dict[str, Any]:
    config = train_config(args)
    runtime.start(args.debug)
    from keras_ganvae.training.plan import plan  # loads TensorFlow

    return plan(config, cluster)


def _resume(args: argparse.Namespace, cluster: Cluster | None) -> "Run | None":
    given = [name for name in _given(args) if name not in RESUME_SETTINGS]
    given += [
        name for name in ("config", "set", "out", "overwrite", "dry_run") if getattr(args, name)
    ]
    if given:
        raise InputError(
            f"a resumed run keeps its settings: --resume can't take {', '.join(map(flag, given))}"
        )
    from keras_ganvae.runs.run import Run  # loads NumPy

    Run.open(args.resume)  # fails before TensorFlow is imported
    runtime.start(args.debug)
    from keras_ganvae.training.train import resume  # loads TensorFlow

    return resume(
        args.resume,
        epochs=getattr(args, "epochs", None),
        checkpoint_minutes=args.checkpoint_minutes,
        cluster=cluster,
        overrides={name: value for name, value in _given(args).items() if name in MACHINE_SETTINGS},
    )


def train_config(args: argparse.Namespace) -> TrainConfig:
    """The settings of --config, overridden by --set, overridden by the other flags."""
    values = read_toml(args.config) if args.config else {}
    values |= dict(parse_setting(text) for text in args.set)
    values |= _given(args)
    if not values.get("arch"):
        raise InputError(f"`arch` must be given: {', '.join(architectures.names())}")
    config = TrainConfig.from_dict(values)  # first, as `arch` may be no text
    architectures.check(config.arch)
    return config


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that have a flag on the command line."""
    names = [each.name for each in dataclasses.fields(TrainConfig)]
    return {name: getattr(args, name) for name in names if hasattr(args, name)}


def print_plan(plan: dict[str, dict[str, Any]], as_json: bool) -> None:
    """Print the sections of a dry run."""
    if as_json:
        print(json.dumps(plan, indent=2))
        return
    for section, values in plan.items():
        print_lines(section, *(f"  {name:24} {value}" for name, value in values.items()))


def print_run(run: "Run | None", as_json: bool) -> None:
    """Print the last epoch's metrics and the run's folder."""
    if run is None:
        return  # a worker; the chief prints the result
    final = run.history()[-1]
    if as_json:
        print(json.dumps({"run": str(run.path), "final": final}, indent=2))
        return
    for name, value in final.items():
        shown = f"{value:,.4f}" if isinstance(value, float) else value
        print_lines(f"{name:24} {shown}")
    print_lines(f"run {run.path}")
