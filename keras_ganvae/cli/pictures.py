"""`sample`, `reconstruct`, `interpolate`, ...: pictures of what a finished run has learnt."""

from pathlib import Path

from keras_ganvae import runtime
from keras_ganvae.cli import command
from keras_ganvae.config import SAMPLING_PRIORS
from keras_ganvae.errors import InputError

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


def add(commands):
    for name, (help, out, from_prior) in PICTURES.items():
        parser = command(commands, name, run_picture, help)
        parser.set_defaults(picture=name)
        several = name == "sample"
        parser.add_argument(
            "source",
            metavar="SOURCE" if several else "RUN",
            help="a run, a bundle, or a .tflite file" if several else "a run folder",
        )
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
    from keras_ganvae.runs.run import Run

    given = vars(args)
    options = {name: given[name] for name in ("count", "seed", "prior") if name in given}
    if options.get("count", 1) < 1:
        raise InputError(f"--count must be at least 1, not {args.count}")
    if not 0 <= options.get("seed", 0) < 2**31:
        raise InputError(f"--seed must be from 0 to {2**31 - 1}, not {args.seed}")
    if args.picture == "sample" and _is_exported(args.source):
        print(_sample_exported(args))
        print(args.out)
        return
    run = Run.open(args.source)
    runtime.start(args.debug)
    from keras_ganvae.plots import latent_space as drawing

    print(getattr(drawing, args.picture)(run, out=args.out, **options))
    print(args.out)


def _is_exported(source):
    """Whether it is a bundle or one of its files, which are drawn from without TensorFlow."""
    source = Path(source)
    return source.suffix == ".tflite" or (source / "model_card.json").exists()


def _sample_exported(args):
    from keras_ganvae.bundle.sample import open_source
    from keras_ganvae.plots import images

    write = images.sample_writer(args.out)
    source = open_source(args.source)
    drawn = source.sample(args.count, args.seed, prior=args.prior)
    described = f"{args.count} samples of {source.describe(args.prior)}, seed {args.seed}"
    write(args.out, drawn, described)
    return described
