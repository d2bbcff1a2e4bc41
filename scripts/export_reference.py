"""Train every architecture on MNIST with its default preset, and make its reference bundle.

    scripts/export_reference [ARCH ...] [--runs runs/reference] [--out exports]

Started again, it keeps finished runs, resumes an interrupted one and exports all bundles again.
"""

import argparse
import sys
from pathlib import Path

import stages

from keras_ganvae import architectures

# A SavedModel takes megabytes, and apps have no use for it; dynamic_int8 is as small, as fast
# and as good as int8 here.
FORMATS = ("float32", "float16", "int8", "sampler")
MOST_BYTES = 12_000_000  # of all bundles, which every clone carries
MOST_BYTES_OF_A_FILE = 2_000_000


def main():
    args = parse()
    for arch in args.arch or architectures.names():
        run, bundle = args.runs / arch, args.out / f"{arch}-mnist"
        stages.train(run, ("--arch", arch, "--dataset", "mnist"))
        stages.call(
            *("export", str(run), "--out", str(bundle), "--formats", *FORMATS),
            *("--sampler-weights", "float16"),
            *(("--overwrite",) if bundle.exists() else ()),
        )
        stages.call("benchmark", str(bundle), "--run", str(run))
    check_sizes(args.out)


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/export_reference", description=__doc__.splitlines()[0]
    )
    parser.add_argument("arch", nargs="*", metavar="ARCH", help="which (default all)")
    parser.add_argument("--runs", type=Path, default=Path("runs/reference"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("exports"), metavar="DIR")
    args = parser.parse_args()
    for arch in args.arch:
        if arch not in architectures.names():
            parser.error(f"unknown architecture '{arch}'")
    return args


def check_sizes(out):
    """Stop with 1 where the bundles are too large to be carried by every clone."""
    sizes = {path: path.stat().st_size for path in out.rglob("*") if path.is_file()}
    print(f"{out}: {len(sizes)} files, {sum(sizes.values()) / 1e6:.2f} MB")
    for path, size in sizes.items():
        if size > MOST_BYTES_OF_A_FILE:
            sys.exit(f"{path} has {size:,} bytes; a file may have {MOST_BYTES_OF_A_FILE:,}")
    if sum(sizes.values()) > MOST_BYTES:
        sys.exit(f"{out} has more than {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    main()
