"""`export`, `verify` and `benchmark`: bundles for apps, their checks and their costs."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from keras_ganvae import runtime
from keras_ganvae.cli.messages import print_lines
from keras_ganvae.cli.parser import Commands, Parser, command
from keras_ganvae.cli.progress import ProgressBar
from keras_ganvae.config import SAMPLING_PRIORS
from keras_ganvae.errors import InputError

PASSPHRASE = "KERAS_GANVAE_PASSPHRASE"  # an environment variable


def add(commands: Commands) -> None:
    """Register the commands."""
    _add_export(commands)
    _add_verify(commands)
    _add_benchmark(commands)


def _add_export(commands: Commands) -> None:
    parser = command(commands, "export", run_export, "export a run as a bundle for an app")
    parser.add_argument("run_folder", metavar="RUN", help="folder of a finished run")
    parser.add_argument("--out", required=True, metavar="BUNDLE", help="folder of the bundle")
    parser.add_argument(
        "--formats",
        nargs="+",
        metavar="NAME",
        help="one or more of float32, float16, dynamic_int8, int8, sampler, saved_model"
        " (default all), and c: C99 for microcontrollers, with int8",
    )
    parser.add_argument(
        "--prior",
        choices=SAMPLING_PRIORS,
        help="where the signature `sample` samples z from (default from the run)",
    )
    parser.add_argument(
        "--sampler-weights",
        metavar="TYPE",
        default="float32",
        help="weights of sampler.tflite: float32, or float16 for half the size (default float32)",
    )
    for memory in ("flash", "ram"):
        parser.add_argument(
            f"--max-{memory}",
            type=int,
            metavar="BYTES",
            help=f"exit with 1 if the C file of --formats c takes more {memory}",
        )
    parser.add_argument("--overwrite", action="store_true", help="replace the bundle in --out")
    _add_sign(parser, "sign the bundle")


def _add_verify(commands: Commands) -> None:
    parser = command(
        commands, "verify", run_verify, "verify that a bundle draws what the trained model draws"
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a folder written by export")
    parser.add_argument(
        "--key",
        metavar="PUBKEY",
        help="exit with 1 unless the owner of this key signed the bundle: a public key of"
        " minisign, or the path of its file",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_benchmark(commands: Commands) -> None:
    parser = command(
        commands, "benchmark", run_benchmark, "measure size, latency and sample quality of a bundle"
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a folder written by export")
    parser.add_argument(
        "--run",
        dest="run_folder",
        metavar="RUN",
        help="the exported run, to compare its Keras model with the files",
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=10_000,
        metavar="N",
        help="samples that each file draws (default 10000)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed of the samples (default 0)"
    )
    parser.add_argument(
        "--dataset",
        metavar="SPEC",
        help="the data set that the model was trained on (default from the model card)",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="folder of the TFDS data sets (default TFDS_DATA_DIR, else TFDS's own)",
    )
    parser.add_argument(
        "--quality",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure the quality of the samples, too (default yes)",
    )
    parser.add_argument(
        "--min-quality",
        type=float,
        metavar="X",
        help="exit with 1 if the coverage of a file's samples is below X, from 0 to 1",
    )
    _add_sign(parser, "sign the bundle again, whose card gets the results")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_sign(parser: Parser, purpose: str) -> None:
    parser.add_argument(
        "--sign",
        metavar="KEYFILE",
        help=f"{purpose}: the file of a secret key of minisign; its passphrase, if it has one, is"
        f" asked for or taken from {PASSPHRASE}",
    )


def _signer(path: str | None) -> Any:
    """The secret key in a file, or None."""
    if path is None:
        return None
    from keras_ganvae.bundle import signature

    def passphrase() -> str:
        given = os.environ.get(PASSPHRASE)
        if given is not None:
            return given
        if not sys.stdin.isatty():
            raise InputError(f"`sign={path}` needs a passphrase: set {PASSPHRASE}")
        try:
            return getpass.getpass(f"Passphrase of {path}: ")
        except EOFError as error:
            raise InputError(f"`sign={path}` needs a passphrase") from error

    return signature.secret_key(path, passphrase)


def run_export(args: argparse.Namespace) -> None:
    """Export a run and print a table of its files."""
    from keras_ganvae.runs.run import Run  # loads NumPy

    run = Run.open(args.run_folder)
    run.check_finished()
    signer = _signer(args.sign)
    runtime.start(args.debug)
    from keras_ganvae.bundle.build import export  # loads TensorFlow
    from keras_ganvae.bundle.read import Bundle

    out = export(
        run,
        args.out,
        formats=args.formats,
        prior=args.prior,
        sampler_weights=args.sampler_weights,
        overwrite=args.overwrite,
        max_flash=args.max_flash,
        max_ram=args.max_ram,
        signer=signer,
    )
    print_lines(*_parity_table(Bundle.open(out).files), args.out)


def run_verify(args: argparse.Namespace) -> None:
    """Verify a bundle and print a table of its files."""
    from keras_ganvae.bundle.read import Bundle  # loads LiteRT
    from keras_ganvae.bundle.verify import verify

    report = verify(args.bundle, key=args.key)
    if args.json:
        print(json.dumps(report, indent=2))
        return
    files = Bundle.open(args.bundle).files
    # The parity measured now may differ from the card's.
    measured = {
        name: files[name] | {"parity": _decode_parity(model["parity"])}
        for name, model in report["models"].items()
    }
    signed = ", signed by the key's owner" if report["signature_checked"] else ""
    verdict = f"{args.bundle}: {report['files']} files, all verified{signed}"
    print_lines(*_parity_table(measured), *_c_line(report["c"]), verdict)


def _c_line(found: Mapping[str, Any] | None) -> list[str]:
    """What `verify` did with the C files, if there are any."""
    if found is None:
        return []
    if found["compiler"] is None:
        return ["C: not compiled: no C compiler here, or made by another release"]
    errors = ", ".join(f"{name} {error:.2g}" for name, error in found["error"].items())
    return [
        f"C: compiled by {found['compiler']}; largest error against LiteRT's reference kernels,"
        f" {found['seeds']} seeds: {errors}"
    ]


def _decode_parity(parity: Mapping[str, Any]) -> Any:
    """The parity of the images that a file's `decode` signature gives."""
    return next(each["image"] for name, each in parity.items() if name.startswith("decode"))


def run_benchmark(args: argparse.Namespace) -> None:
    """Benchmark a bundle and print a table; fail below --min-quality."""
    from keras_ganvae.bundle import card
    from keras_ganvae.bundle.read import Bundle  # loads LiteRT

    least = args.min_quality
    if least is not None and not 0 <= least <= 1:
        raise InputError(f"`min_quality` must be from 0 to 1, not {least:g}")
    if least is not None and not args.quality:
        raise InputError("`min_quality` needs the quality of the samples: remove --no-quality")
    bundle = Bundle.open(args.bundle)
    bundle.check_files(unless=card.REWRITTEN)  # killed while it wrote them, it may start again
    signer = _signer(args.sign)
    run = None
    if args.run_folder:
        from keras_ganvae.runs.run import Run

        run = Run.open(args.run_folder)
        run.check_finished()
    runtime.start(args.debug)
    from keras_ganvae.bundle import benchmark, quality  # loads TensorFlow

    dataset = quality.dataset_of(bundle, args.dataset, args.data_dir) if args.quality else None
    with ProgressBar() as progress:
        result = benchmark.benchmark(
            bundle,
            dataset=dataset,
            run=run,
            samples=args.samples,
            seed=args.seed,
            progress=progress,
            signer=signer,
        )
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        print_lines(*_benchmark_table(result))
    if least is not None:
        benchmark.check_quality(result, least)


def _parity_table(files: Mapping[str, Any]) -> list[str]:
    """A bundle's models, one per line: size, error against the Keras model's images."""
    lines = [f"{'file':28}{'KB':>8}{'max error':>12}{'mean error':>12}{'PSNR, dB':>10}"]
    for name, entry in files.items():
        if "parity" in entry:
            parity = entry["parity"]
            psnr = "-" if parity["psnr"] is None else f"{parity['psnr']:.1f}"
            lines.append(
                f"{name:28}{entry['bytes'] / 1000:>8,.1f}{parity['max_error']:>12.2g}"
                f"{parity['mean_error']:>12.2g}{psnr:>10}"
            )
    return lines


def _benchmark_table(result: Mapping[str, Any]) -> list[str]:
    """A benchmark as lines of 79 columns."""
    lines = [
        f"{'':13}{'':>8}{'load':>8}{'ms for one image':>22}{'all':>7}{'peak':>6}"
        f"{'Fréchet':>8}{'cover-':>7}",
        f"{'':13}{'KB':>8}{'ms':>8}{'p50':>8}{'p90':>7}{'p99':>7}{'cores':>7}{'MB':>6}"
        f"{'':>8}{'age':>7}",
    ]
    quality = result.get("quality", {})
    for name in dict.fromkeys([*result["files"], *quality]):
        costs = result["files"].get(name)
        lines.append(f"{name:13}{_cost_columns(costs)}{_quality_columns(quality.get(name))}")
    return lines


def _cost_columns(costs: Mapping[str, Any] | None) -> str:
    if costs is None:
        return " " * 51
    single, all_cores = costs["speed"][0], costs["speed"][-1]
    return (
        f"{costs['bytes'] / 1000:>8,.1f}{single['load_ms']:>8.1f}{single['p50_ms']:>8.3f}"
        f"{single['p90_ms']:>7.3f}{single['p99_ms']:>7.3f}{all_cores['p50_ms']:>7.3f}"
        f"{single['memory_mb']:>6.1f}"
    )


def _quality_columns(quality: Mapping[str, Any] | None) -> str:
    if quality is None:
        return ""
    return f"{quality['frechet']['value']:>8.2f}{quality['coverage']['value']:>7.3f}"
