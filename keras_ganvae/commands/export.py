"""`export` and `verify`: bundles for apps, and their proof."""

import json

from keras_ganvae import runtime
from keras_ganvae.commands import command
from keras_ganvae.config import SAMPLING_PRIORS


def add(commands):
    parser = command(commands, "export", run_export, "a bundle of TFLite files for an app")
    parser.add_argument("run_folder", metavar="RUN", help="a finished run")
    parser.add_argument("--out", required=True, metavar="BUNDLE", help="a new folder")
    parser.add_argument(
        "--formats",
        nargs="+",
        metavar="NAME",
        help="of float32, float16, dynamic_int8, int8, sampler, saved_model (default all)",
    )
    parser.add_argument(
        "--prior", choices=SAMPLING_PRIORS, help="what `sample` draws from (default: the run's own)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the bundle in --out")
    parser = command(commands, "verify", run_verify, "prove that a bundle draws what was trained")
    parser.add_argument("bundle", metavar="BUNDLE", help="a folder that export made")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run_export(args):
    from keras_ganvae.training.run import Run

    run = Run.open(args.run_folder)
    run.check_finished()
    runtime.start(args.debug)
    from keras_ganvae.export import recipe
    from keras_ganvae.export.bundle import Bundle

    out = recipe.export(
        run, args.out, formats=args.formats, prior=args.prior, overwrite=args.overwrite
    )
    print(_table(Bundle.open(out).files))
    print(out)


def run_verify(args):
    from keras_ganvae.export.bundle import Bundle
    from keras_ganvae.export.verify import verify

    report = verify(args.bundle)
    if args.json:
        print(json.dumps(report, indent=2))
        return
    print(_table(Bundle.open(args.bundle).files))
    print(f"{args.bundle}: {report['files']} files, all as they should be")


def _table(files):
    """The models of a bundle, with their distance from the Keras model's images."""
    lines = [f"{'file':28}{'KB':>8}{'max error':>12}{'mean error':>12}{'PSNR, dB':>10}"]
    for name, entry in files.items():
        if "parity" in entry:
            parity = entry["parity"]
            psnr = "-" if parity["psnr"] is None else f"{parity['psnr']:.1f}"
            lines.append(
                f"{name:28}{entry['bytes'] / 1000:>8,.1f}{parity['max_error']:>12.2g}"
                f"{parity['mean_error']:>12.2g}{psnr:>10}"
            )
    return "\n".join(lines)
