"""The command line: arguments in, one call, one printed result.

Nothing heavy is imported before a command has its arguments, so that help and mistakes
answer at once.
"""

import argparse
import dataclasses
import difflib
import errno
import json
import logging
import sys
import traceback

from keras_ganvae import architectures, runtime
from keras_ganvae.config import (
    SAMPLING_PRIORS,
    TrainConfig,
    parse_setting,
    read_toml,
    scalar_type,
)
from keras_ganvae.errors import InputError, UserError

PROGRAM = "keras-ganvae"

# Failures of the machine rather than of the program: said in one line, exit 2.
MACHINE_ERRORS = {
    errno.ENOSPC: "the disk is full; what was complete before is whole",
    errno.EDQUOT: "the disk quota is used up; what was complete before is whole",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EIO: "the disk failed",
    errno.EEXIST: "a file stands where a folder is needed",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EISDIR: "a folder stands where a file is needed",
}


def main(argv=None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 failed a gate, 2 bad input, 130."""
    args = None
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        args.run(args)
        return 0
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if args is not None and args.debug:
            traceback.print_exc()
        message, code = explain(error)
        print(f"{PROGRAM}: {message}", file=sys.stderr)
        return code


def explain(error) -> tuple[str, int]:
    """One line for an exception, and the exit code."""
    if isinstance(error, UserError):
        return " ".join(str(error).split()), error.exit_code
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        where = f" ({error.filename})" if error.filename else ""
        return MACHINE_ERRORS[error.errno] + where, 2
    first = (str(error).splitlines() or [""])[0]
    return f"unexpected {type(error).__name__}: {first} (--debug shows where)", 1


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors that suggest the nearest option."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message):
        raise InputError(f"{message}; see {self.prog} --help")

    def refuse_unknown(self, unknown):
        known = list(self._option_string_actions)
        close = difflib.get_close_matches(unknown[0].partition("=")[0], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"see {self.prog} --help"
        raise InputError(f"unknown argument '{unknown[0]}'; {hint}")


def parse(argv):
    """Arguments to a namespace whose `run` does the work."""
    parser = Parser(prog=PROGRAM, description="Train small GANs and VAEs, and draw from them.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for add in (
        add_train,
        add_pictures,
        add_datasets,
        add_doctor,
    ):
        add(commands)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show tracebacks and all logs")
    _check_command(argv, commands.choices)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        commands.choices.get(argv[0], parser).refuse_unknown(unknown)
    return args


def _check_command(argv, known):
    if argv and not argv[0].startswith("-") and argv[0] not in known:
        close = difflib.get_close_matches(argv[0], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"commands: {', '.join(known)}"
        raise InputError(f"unknown command '{argv[0]}'; {hint}")


def _command(commands, name, run, help):
    parser = commands.add_parser(name, help=help, description=help)
    parser.set_defaults(run=run)
    return parser


def _version():
    return f"{PROGRAM} {runtime.versions().get('keras_ganvae', 'not installed')}"


# train


def add_train(commands):
    parser = _command(commands, "train", run_train, "train a model and leave a run folder")
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
    from keras_ganvae.training.run import check_free

    if not args.checkpoint_minutes > 0:
        raise InputError(f"--checkpoint-minutes must be above 0, not {args.checkpoint_minutes}")
    if args.resume:
        run_resume(args)
        return
    config = train_config(args)
    if args.out and not args.dry_run:
        check_free(args.out, args.overwrite)
    runtime.start(args.debug)
    from keras_ganvae.training import recipe

    if args.dry_run:
        from keras_ganvae.training.plan import plan

        print_plan(plan(config), args.json)
        return
    minutes = args.checkpoint_minutes
    run = recipe.train(config, args.out, overwrite=args.overwrite, checkpoint_minutes=minutes)
    print_run(run, args.json)


# What a resumed run may be told; the rest is in its config.json.
RESUME_MAY = ("epochs",)


def run_resume(args):
    from keras_ganvae.training.run import Run

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
    from keras_ganvae.training import recipe

    epochs = getattr(args, "epochs", None)
    run = recipe.resume(args.resume, epochs=epochs, checkpoint_minutes=args.checkpoint_minutes)
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
    final = run.history()[-1]
    if as_json:
        print(json.dumps({"run": str(run.path), "final": final}, indent=2))
        return
    for name, value in final.items():
        print(f"{name:24} {value:,.4f}" if isinstance(value, float) else f"{name:24} {value}")
    print(f"run {run.path}")


# pictures

# Command: what it draws, the file it writes, whether it draws from the prior.
PICTURES = {
    "sample": (
        "draw images from a trained model",
        "FILE.png (one grid), FILE.npz (an array), or FOLDER/ (one PNG each)",
        True,
    ),
    "reconstruct": ("test images beside their reconstructions by a VAE", "FILE.png", False),
    "interpolate": ("walks between two latents, one a row", "FILE.png", True),
    "traverse": ("one latent dimension at a time, the most active first", "FILE.png", True),
    "manifold": ("the plane of the two most active latent dimensions", "FILE.png", True),
    "animate": ("a GIF of the fixed-noise grid over training", "FILE.gif", False),
}


def add_pictures(commands):
    for name, (help, out, from_prior) in PICTURES.items():
        parser = _command(commands, name, run_picture, help)
        parser.set_defaults(picture=name)
        parser.add_argument("source", metavar="RUN", help="a run folder")
        parser.add_argument("--out", required=True, metavar="FILE", help=out)
        if from_prior:
            parser.add_argument("--seed", type=int, default=0, metavar="S", help="(default 0)")
            parser.add_argument(
                "--prior",
                choices=SAMPLING_PRIORS,
                help="what z is drawn from (default: the run's own)",
            )
    commands.choices["sample"].add_argument(
        "--count", type=int, default=64, metavar="N", help="images (default 64)"
    )


def run_picture(args):
    """Call the function of `drawing` with the command's name, and print what it drew."""
    from keras_ganvae.training.run import Run

    given = vars(args)
    options = {name: given[name] for name in ("count", "seed", "prior") if name in given}
    if options.get("count", 1) < 1:
        raise InputError(f"--count must be at least 1, not {args.count}")
    if not 0 <= options.get("seed", 0) < 2**31:
        raise InputError(f"--seed must be from 0 to {2**31 - 1}, not {args.seed}")
    run = Run.open(args.source)
    runtime.start(args.debug)
    from keras_ganvae import drawing

    print(getattr(drawing, args.picture)(run, out=args.out, **options))
    print(args.out)


# the machine


def add_datasets(commands):
    parser = _command(
        commands, "datasets", run_datasets, "which data sets are on disk or can be fetched"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps data sets")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run_datasets(args):
    runtime.start(args.debug)
    from keras_ganvae import data

    found = data.available(args.data_dir)
    if args.json:
        print(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
        return
    for each in found:
        state = "on disk" if each.on_disk else "fetchable" if each.fetchable else "-"
        print(f"{each.spec:18} {state:10} {each.note}")


def add_doctor(commands):
    parser = _command(commands, "doctor", run_doctor, "versions, devices, and what is missing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run_doctor(args):
    runtime.start(args.debug)
    from keras_ganvae.doctor import examine

    report = examine()
    if args.json:
        print(json.dumps(report, indent=2))
        return
    for name, value in report.items():
        print(f"{name:22} {value}")
