"""`evaluate` and `compare`: the metrics of one run, and several runs side by side."""

import argparse
import dataclasses
from typing import Any

from keras_ganvae import runtime
from keras_ganvae.cli.messages import flag, print_lines
from keras_ganvae.cli.parser import Commands, Parser, command
from keras_ganvae.cli.progress import ProgressBar
from keras_ganvae.evaluation.protocol import RESULT, Settings
from keras_ganvae.files import check_new_file, write_json
from keras_ganvae.ownership import check_output


def add(commands: Commands) -> None:
    """Register the commands."""
    parser = command(commands, "evaluate", run_evaluate, "compute every metric of one run")
    parser.add_argument("run_folder", metavar="RUN", help="folder of a finished run")
    parser.add_argument("--json", metavar="FILE", help="write the metrics to FILE, too")
    _add_settings(parser)
    parser = command(
        commands, "compare", run_compare, "compare runs and test the paper's claims on them"
    )
    parser.add_argument(
        "run_folders", nargs="+", metavar="RUN", help="folder of a finished run; same data set"
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder for index.html and results.json"
    )
    parser.add_argument(
        "--seeds",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="treat runs that differ only in their seed as one model, with error bars over the"
        " seeds (default yes)",
    )
    _add_settings(parser)


def _add_settings(parser: Parser) -> None:
    group = parser.add_argument_group("protocol")
    for setting in dataclasses.fields(Settings):
        default: Any = setting.default
        several = isinstance(default, tuple)
        is_number = isinstance(default, int)
        shown = " ".join(default) if several else default
        group.add_argument(
            flag(setting.name),
            default=default,
            nargs="+" if several else None,
            type=int if is_number else str,
            metavar="N" if is_number else "NAME",
            help=setting.metadata["help"] + (f" (default {shown})" if shown is not None else ""),
        )


def settings_of(args: argparse.Namespace) -> Settings:
    """The protocol that the flags of `evaluate` or `compare` ask for.

    Raises:
        InputError: a value is out of range.
    """
    given = {each.name: getattr(args, each.name) for each in dataclasses.fields(Settings)}
    return Settings(**given | {"binarize": tuple(args.binarize)})


def run_evaluate(args: argparse.Namespace) -> None:
    """Measure a run and print a table."""
    from keras_ganvae.runs.run import Run  # loads NumPy

    settings = settings_of(args)
    run = Run.open(args.run_folder)
    run.check_finished()
    check_new_file(run.path / RESULT)
    if args.json is not None:
        check_output(args.json, "json")
        check_new_file(args.json)
    runtime.start(args.debug)
    from keras_ganvae.cli.tables import evaluation_table
    from keras_ganvae.evaluation.measure import evaluate  # loads TensorFlow

    with ProgressBar() as progress:
        result = evaluate(run, settings, progress=progress)
    if args.json is not None:
        write_json(args.json, result)
    print_lines(*evaluation_table(result), args.json or run.path / RESULT)


def run_compare(args: argparse.Namespace) -> None:
    """Measure runs, write the report and print the claims' verdicts."""
    settings = settings_of(args)
    from keras_ganvae.runs.run import Run  # loads NumPy

    for path in args.run_folders:
        Run.open(path).check_finished()
    runtime.start(args.debug)
    from keras_ganvae.cli.tables import claims_table
    from keras_ganvae.paper.compare import compare  # loads TensorFlow

    with ProgressBar() as progress:
        results = compare(
            args.run_folders, args.out, settings, by_seed=args.seeds, progress=progress
        )
    print_lines(*claims_table(results), f"{args.out}/index.html")
