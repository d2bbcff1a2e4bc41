"""`export`, `verify` and `benchmark`: bundles for apps, their proof and their cost."""

import argparse
import json

from keras_ganvae import runtime
from keras_ganvae.cli import command
from keras_ganvae.cli.progress import Bar
from keras_ganvae.config import SAMPLING_PRIORS
from keras_ganvae.errors import InputError


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
    parser.add_argument(
        "--sampler-weights",
        metavar="TYPE",
        default="float32",
        help="of sampler.tflite: float32, or float16 for half its bytes (default float32)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the bundle in --out")
    parser = command(commands, "verify", run_verify, "prove that a bundle draws what was trained")
    parser.add_argument("bundle", metavar="BUNDLE", help="a folder that export made")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser = command(
        commands, "benchmark", run_benchmark, "size, speed and quality of a bundle's files"
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a folder that export made")
    parser.add_argument(
        "--run", dest="run_folder", metavar="RUN", help="it was made from, to set beside its files"
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=10_000,
        metavar="N",
        help="that each file draws (default 10000)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the samples (default 0)"
    )
    parser.add_argument("--dataset", metavar="SPEC", help="it was trained on (default: the card's)")
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps data sets")
    parser.add_argument(
        "--quality",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure the images too (default yes)",
    )
    parser.add_argument(
        "--min-quality",
        type=float,
        metavar="C",
        help="exit with 1 if the coverage of a file's samples is below C, from 0 to 1",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run_export(args):
    from keras_ganvae.runs.run import Run

    run = Run.open(args.run_folder)
    run.check_finished()
    runtime.start(args.debug)
    from keras_ganvae.bundle.build import export
    from keras_ganvae.bundle.read import Bundle

    out = export(
        run,
        args.out,
        formats=args.formats,
        prior=args.prior,
        sampler_weights=args.sampler_weights,
        overwrite=args.overwrite,
    )
    print(_table(Bundle.open(out).files))
    print(args.out)


def run_verify(args):
    from keras_ganvae.bundle.read import Bundle
    from keras_ganvae.bundle.verify import verify

    report = verify(args.bundle)
    if args.json:
        print(json.dumps(report, indent=2))
        return
    files = Bundle.open(args.bundle).files
    # What was measured now, which is not always what the card says.
    measured = {
        name: files[name] | {"parity": _of_images(model["parity"])}
        for name, model in report["models"].items()
    }
    print(_table(measured))
    print(f"{args.bundle}: {report['files']} files, all as they should be")


def _of_images(parity):
    """The distance of the images that a file decodes."""
    return next(each["image"] for name, each in parity.items() if name.startswith("decode"))


def run_benchmark(args):
    from keras_ganvae.bundle.read import Bundle

    least = args.min_quality
    if least is not None and not (args.quality and 0 <= least <= 1):
        raise InputError(f"--min-quality {least:g} must be from 0 to 1, and needs the images")
    bundle = Bundle.open(args.bundle)
    for name in bundle.files:
        bundle.file(name)
    run = None
    if args.run_folder:
        from keras_ganvae.runs.run import Run

        run = Run.open(args.run_folder)
        run.check_finished()
    runtime.start(args.debug)
    from keras_ganvae.bundle import benchmark, quality

    dataset = quality.dataset_of(bundle, args.dataset, args.data_dir) if args.quality else None
    with Bar() as bar:
        result = benchmark.benchmark(
            bundle, dataset=dataset, run=run, samples=args.samples, seed=args.seed, progress=bar
        )
    print(json.dumps(result, indent=2) if args.json else _costs(result))
    if least is not None:
        benchmark.check_quality(result, least)


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


def _costs(result):
    """A benchmark in 79 columns."""
    lines = [
        f"{'':13}{'':>8}{'load':>8}{'ms for one image':>22}{'all':>7}{'peak':>6}"
        f"{'Fréchet':>8}{'cover-':>7}",
        f"{'':13}{'KB':>8}{'ms':>8}{'p50':>8}{'p90':>7}{'p99':>7}{'cores':>7}{'MB':>6}"
        f"{'':>8}{'age':>7}",
    ]
    quality = result.get("quality", {})
    for name in dict.fromkeys([*result["files"], *quality]):
        costs = result["files"].get(name)
        lines.append(f"{name:13}{_speed(costs)}{_quality(quality.get(name))}")
    return "\n".join(lines)


def _speed(costs):
    if costs is None:
        return " " * 51
    single, many = costs["speed"][0], costs["speed"][-1]
    return (
        f"{costs['bytes'] / 1000:>8,.1f}{single['load_ms']:>8.1f}{single['p50_ms']:>8.3f}"
        f"{single['p90_ms']:>7.3f}{single['p99_ms']:>7.3f}{many['p50_ms']:>7.3f}"
        f"{single['memory_mb']:>6.1f}"
    )


def _quality(found):
    if found is None:
        return ""
    return f"{found['frechet']['value']:>8.2f}{found['coverage']['value']:>7.3f}"
