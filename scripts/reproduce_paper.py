"""Train the paper's models and the ablations of its section 4.2, and compare them.

    scripts/reproduce_paper [--epochs 200] [--seeds 3] [--out runs/paper]

A second start keeps finished runs, resumes an interrupted one, and trains what larger
--epochs or --seeds add. The report is OUT/report/index.html.
"""

import argparse
import sys
from pathlib import Path

import stages

from keras_ganvae.cli import main as cli
from keras_ganvae.cli.evaluate import settings_of
from keras_ganvae.errors import UserError

# Keras's default, and a tenth of it for the VAE, whose loss is a sum over pixels: at 0.01 it
# diverges within the first epoch.
SGD_RATES = {"gan": "0.01", "vae": "0.001"}

MODELS = ("gan", "dcgan", "vae", "cvae")
# The ablations of section 4.2: name -> options of `train`.
ABLATIONS = {
    "gan-no-dropout": ("--arch", "gan", "--no-dropout"),
    "gan-saturating": ("--arch", "gan", "--generator-loss", "saturating"),
    "gan-sgd": ("--arch", "gan", "--optimizer", "sgd", "--learning-rate", SGD_RATES["gan"]),
    "vae-sgd": ("--arch", "vae", "--optimizer", "sgd", "--learning-rate", SGD_RATES["vae"]),
}


def main() -> None:
    args, compare_options = parse()
    plan = {
        f"{name}-{seed}": (*options, "--seed", str(seed))
        for seed in range(args.seeds)
        for name, options in experiments().items()
    }
    for i, (name, options) in enumerate(plan.items(), start=1):
        print(f"{i} of {len(plan)}: {name}", file=sys.stderr)
        settings = ("--preset", "paper", *options, *data_options(args))
        stages.train(args.out / name, settings, args.epochs)
    runs = [str(args.out / name) for name in plan]
    stages.call("compare", *runs, "--out", str(args.out / "report"), *compare_options)


def parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="scripts/reproduce_paper",
        description=__doc__.splitlines()[0],
        allow_abbrev=False,
        epilog="Other options are those of `keras-ganvae compare`.",
    )
    parser.add_argument(
        "--epochs", type=positive, default=200, help="epochs of every run (default 200)"
    )
    parser.add_argument("--seeds", type=positive, default=3, help="runs of every model (default 3)")
    parser.add_argument("--out", type=Path, default=Path("runs/paper"), metavar="DIR")
    parser.add_argument("--dataset", default="mnist", metavar="SPEC")
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="use N images of each split, for a trial"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS stores data sets")
    args, options = parser.parse_known_args()
    try:  # fail before days of training
        settings_of(cli.parse(["compare", "RUN", "--out", "DIR", *options]))
    except UserError as error:
        parser.error(str(error))
    return args, options


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def experiments() -> dict[str, tuple[str, ...]]:
    """Name of each model -> options of `train`, without a seed."""
    return {arch: ("--arch", arch) for arch in MODELS} | ABLATIONS


def data_options(args: argparse.Namespace) -> tuple[str, ...]:
    limit = ("--limit", str(args.limit)) if args.limit else ()
    folder = ("--data-dir", args.data_dir) if args.data_dir else ()
    return ("--dataset", args.dataset, *limit, *folder)


if __name__ == "__main__":
    main()
