"""`evaluate` and `compare`: numbers of one run, and of several side by side."""

import argparse
import dataclasses

from keras_ganvae import runtime
from keras_ganvae.cli import command
from keras_ganvae.cli.progress import Bar
from keras_ganvae.evaluation.protocol import RESULT, Settings, flag
from keras_ganvae.files import check_new_file, write_json


def add(commands):
    parser = command(commands, "evaluate", run_evaluate, "every number of one run")
    parser.add_argument("run_folder", metavar="RUN", help="a finished run")
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    _add_settings(parser)
    parser = command(
        commands, "compare", run_compare, "runs side by side, and the paper's claims tested on them"
    )
    parser.add_argument(
        "run_folders", nargs="+", metavar="RUN", help="finished runs, of one data set"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="for index.html, results.json")
    parser.add_argument(
        "--seeds",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="take runs that differ in their seed alone as one model, with error bars over"
        " them (default yes)",
    )
    _add_settings(parser)


def _add_settings(parser):
    for each in dataclasses.fields(Settings):
        several = isinstance(each.default, tuple)
        shown = " ".join(each.default) if several else each.default
        parser.add_argument(
            flag(each.name),
            default=each.default,
            nargs="+" if several else None,
            type=int if isinstance(each.default, int) else str,
            metavar="N" if isinstance(each.default, int) else "NAME",
            help=each.metadata["help"] + (f" (default {shown})" if shown is not None else ""),
        )


def settings_of(args) -> Settings:
    """What `evaluate` or `compare` was asked for; InputError if a value is wrong."""
    given = {each.name: getattr(args, each.name) for each in dataclasses.fields(Settings)}
    return Settings(**given | {"binarize": tuple(args.binarize)})


def run_evaluate(args):
    from keras_ganvae.runs.run import Run

    settings = settings_of(args)
    run = Run.open(args.run_folder)
    run.check_finished()
    for file in (run.path / RESULT, *([args.json] if args.json else [])):
        check_new_file(file)
    runtime.start(args.debug)
    from keras_ganvae.cli.tables import evaluation_table
    from keras_ganvae.evaluation.measure import evaluate

    with Bar() as bar:
        result = evaluate(run, settings, progress=bar)
    if args.json:
        write_json(args.json, result)
    print(evaluation_table(result))
    print(args.json or run.path / RESULT)


def run_compare(args):
    settings = settings_of(args)
    from keras_ganvae.runs.run import Run

    for path in args.run_folders:
        Run.open(path).check_finished()
    runtime.start(args.debug)
    from keras_ganvae.cli.tables import claims_table
    from keras_ganvae.paper.compare import compare

    with Bar() as bar:
        results = compare(args.run_folders, args.out, settings, by_seed=args.seeds, progress=bar)
    print(claims_table(results))
    print(f"{args.out}/index.html")
