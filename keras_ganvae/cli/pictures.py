"""`sample`, `reconstruct`, `interpolate`, ...: images from a trained model."""

import argparse
import contextlib
from pathlib import Path
from typing import NamedTuple

from keras_ganvae import runtime
from keras_ganvae.cli.messages import print_lines
from keras_ganvae.cli.parser import Commands, command
from keras_ganvae.config import SAMPLING_PRIORS, check_range


class Picture(NamedTuple):
    """A command that draws.

    Attributes:
        help: what it draws.
        out: the files it writes.
        samples: whether it samples z from the prior.
    """

    help: str
    out: str
    samples: bool


PICTURES = {
    "sample": Picture(
        "draw samples from a trained model",
        "FILE.png (one grid), FILE.npz (an array) or FOLDER/ (one PNG per image)",
        True,
    ),
    "reconstruct": Picture(
        "draw test images and their VAE reconstructions", "PNG file to write", False
    ),
    "interpolate": Picture(
        "draw interpolations between latents, one per row", "PNG file to write", True
    ),
    "traverse": Picture(
        "vary one latent dimension at a time, most active first", "PNG file to write", True
    ),
    "manifold": Picture(
        "draw the plane of the two most active latent dimensions", "PNG file to write", True
    ),
    "animate": Picture(
        "make a GIF of the fixed-noise samples over training", "GIF file to write", False
    ),
}


def add(commands: Commands) -> None:
    """Register the commands."""
    for name, picture in PICTURES.items():
        parser = command(commands, name, run_picture, picture.help)
        parser.set_defaults(picture=name)
        if name == "sample":
            parser.add_argument(
                "source", metavar="SOURCE", help="a run folder, a bundle, or a .tflite file"
            )
            parser.add_argument(
                "--count",
                type=int,
                default=64,
                metavar="N",
                help="number of samples (default 64)",
            )
        else:
            parser.add_argument("source", metavar="RUN", help="a run folder")
        parser.add_argument("--out", required=True, metavar="FILE", help=picture.out)
        if picture.samples:
            parser.add_argument(
                "--seed", type=int, default=0, metavar="N", help="random seed (default 0)"
            )
            parser.add_argument(
                "--prior",
                choices=SAMPLING_PRIORS,
                help="where z is sampled from (default from the run)",
            )


def run_picture(args: argparse.Namespace) -> None:
    """Call the function of `latent_space` with the command's name and print what it drew."""
    given = vars(args)
    options = {name: given[name] for name in ("count", "seed", "prior") if name in given}
    check_range("count", options.get("count", 1), least=1)
    check_range("seed", options.get("seed", 0), least=0)
    if args.picture == "sample" and _is_exported(Path(args.source)):
        print_lines(_sample_exported(args), args.out)
        return
    from keras_ganvae.runs.run import Run  # loads NumPy

    run = Run.open(args.source)
    runtime.start(args.debug)
    from keras_ganvae.plots import latent_space  # loads TensorFlow

    print_lines(getattr(latent_space, args.picture)(run, out=args.out, **options), args.out)


def _is_exported(source: Path) -> bool:
    """Whether it is a bundle or one of its files, which need no TensorFlow."""
    # Either may hold a foreign file of the other's name.
    is_run = (source / "config.json").exists() and (source / "checkpoint").is_dir()
    return source.suffix == ".tflite" or ((source / "model_card.json").exists() and not is_run)


def _sample_exported(args: argparse.Namespace) -> str:
    from keras_ganvae.bundle.sample import open_source  # loads LiteRT
    from keras_ganvae.plots.output import sample_writer

    write = sample_writer(args.out)
    source = open_source(args.source)
    with contextlib.suppress(ImportError):  # a phone may have NumPy and LiteRT alone
        from keras_ganvae.data.resources import check_images_fit

        latent_dim = source.bundle.latent_dim if source.bundle else 0
        check_images_fit("count", args.count, source.image_shape, latent_dim)
    samples = source.sample(args.count, args.seed, prior=args.prior)
    description = f"{args.count} samples of {source.describe(args.prior)}, seed {args.seed}"
    write(args.out, samples, description)
    return description
