"""`train`: from settings to a finished run."""

import argparse
import dataclasses
import json

from keras_ganvae import architectures, runtime
from keras_ganvae.cli import command
from keras_ganvae.config import TrainConfig, parse_setting, read_toml, scalar_type
from keras_ganvae.errors import InputError


def add(commands):
    parser = command(commands, "train", run_train, "train a model and leave a run folder")
    for each in dataclasses.fields(TrainConfig):
        _add_flag(parser, each)
    parser.add_argument("--config", metavar="FILE", help="settings from a TOML file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting by its name in config.json",
    )
    parser.add_argument("--out", metavar="DIR", help="run folder (else runs/<arch>-<data>-<time>)")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in --out")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run (--epochs M extends it)")
    parser.add_argument(
        "--checkpoint-minutes",
        type=float,
        default=5.0,
        metavar="X",
        help="between saved states inside an epoch (default 5)",
    )
    parser.add_argument(
        "--workers",
        metavar="HOST:PORT,...",
        help="of --strategy multi-worker, the chief first (else TF_CONFIG)",
    )
    parser.add_argument(
        "--worker-index", type=int, metavar="I", help="which of --workers this is, from 0"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, and stop")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_flag(parser, each):
    """One flag for one field of TrainConfig. Absent means: not given."""
    flag = f"--{each.name.replace('_', '-')}"
    help = each.metadata["help"] + _default(each)
    shared = {"default": argparse.SUPPRESS, "help": help}
    wanted = scalar_type(each)
    if wanted is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, **shared)
        return
    choices = each.metadata["choices"]
    metavar = f"{{{','.join(choices)}}}" if choices else {int: "N", float: "X"}.get(wanted, "TEXT")
    parser.add_argument(flag, type=wanted, metavar=metavar, **shared)


def _default(each):
    return f" (default {each.default})" if each.default is not None else ""


def run_train(args):
    from keras_ganvae.distributed.cluster import Cluster
    from keras_ganvae.runs.run import check_free

    if not args.checkpoint_minutes > 0:
        raise InputError(f"--checkpoint-minutes must be above 0, not {args.checkpoint_minutes}")
    cluster = Cluster.of(args.workers, args.worker_index)
    if args.resume:
        run_resume(args, cluster)
        return
    config = train_config(args)
    if args.out and not args.dry_run:
        check_free(args.out, args.overwrite)
    runtime.start(args.debug)
    from keras_ganvae.training import train as recipe

    if args.dry_run:
        from keras_ganvae.training.plan import plan

        print_plan(plan(config, cluster), args.json)
        return
    run = recipe.train(
        config,
        args.out,
        overwrite=args.overwrite,
        checkpoint_minutes=args.checkpoint_minutes,
        cluster=cluster,
    )
    print_run(run, args.json)


# What a resumed run may be told; the rest is in its config.json. The machine may be another.
OF_THE_MACHINE = ("strategy", "replicas", "device", "cache")
RESUME_MAY = ("epochs", *OF_THE_MACHINE)


def run_resume(args, cluster):
    from keras_ganvae.runs.run import Run

    names = [each.name for each in dataclasses.fields(TrainConfig)]
    given = [name for name in names if hasattr(args, name) and name not in RESUME_MAY]
    given += [
        name for name in ("config", "set", "out", "overwrite", "dry_run") if getattr(args, name)
    ]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InputError(f"--resume goes on in the run's own settings; it can't take {flags}")
    Run.open(args.resume)  # refused before TensorFlow is imported
    runtime.start(args.debug)
    from keras_ganvae.training import train as recipe

    run = recipe.resume(
        args.resume,
        epochs=getattr(args, "epochs", None),
        checkpoint_minutes=args.checkpoint_minutes,
        cluster=cluster,
        here={name: getattr(args, name) for name in OF_THE_MACHINE if hasattr(args, name)},
    )
    print_run(run, args.json)


def train_config(args) -> TrainConfig:
    """Settings of --config, overruled by --set, overruled by flags."""
    values = read_toml(args.config) if args.config else {}
    values |= dict(parse_setting(text) for text in args.set)
    names = [each.name for each in dataclasses.fields(TrainConfig)]
    values |= {name: getattr(args, name) for name in names if hasattr(args, name)}
    if not values.get("arch"):
        raise InputError(f"--arch must be given: {', '.join(architectures.names())}")
    architectures.check(values["arch"])
    return TrainConfig.from_dict(values)


def print_plan(plan, as_json):
    if as_json:
        print(json.dumps(plan, indent=2))
        return
    for section, values in plan.items():
        print(f"{section}")
        for name, value in values.items():
            print(f"  {name:24} {value}")


def print_run(run, as_json):
    if run is None:
        return  # the chief prints it
    final = run.history()[-1]
    if as_json:
        print(json.dumps({"run": str(run.path), "final": final}, indent=2))
        return
    for name, value in final.items():
        print(f"{name:24} {value:,.4f}" if isinstance(value, float) else f"{name:24} {value}")
    print(f"run {run.path}")
