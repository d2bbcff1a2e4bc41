"""Hashes of what this checkout trains, samples and exports, as JSON.

    scripts/fingerprint > before.json      # then change the code
    scripts/fingerprint before.json        # exit 1 and a list, if a hash differs

Trains every architecture for an epoch of built-in digits, in every precision and with the
paper's layers, samples each run, exports the float32 ones, and samples the bundles in
`exports/`. Only the command line is used, so that the code behind it is free to move. The
hashes hold on one machine with one set of packages: another CPU rounds differently.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
ARCHITECTURES = ("gan", "dcgan", "vae", "cvae")
VARIANTS = (
    ("default", "float32"),
    ("default", "bfloat16"),
    ("default", "float16"),
    ("paper", "float32"),
)
# Nine batches of 128 or more of fewer images, with a partial last one.
TRAINING = ("--dataset", "synthetic", "--limit", 1100, "--epochs", 1, "--seed", 7)
SAMPLES = ("--count", 32, "--seed", 3)
# Without int8, which fails verification for a model of the paper's layers that young.
FORMATS = ("float32", "float16", "dynamic_int8", "sampler")


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/fingerprint", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("expected", nargs="?", metavar="FILE", help="hashes to compare with")
    expected = parser.parse_args().expected
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, value in fingerprints(Path(folder)):
            print(name, file=sys.stderr)
            found[name] = value
    print(json.dumps(found, indent=2))
    if expected is None:
        return 0
    wanted = json.loads(Path(expected).read_text())
    differ = sorted(
        name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
    )
    for name in differ:
        print(f"differs: {name}", file=sys.stderr)
    print(f"{len(found) - len(differ)} of {len(wanted)} hashes are equal", file=sys.stderr)
    return 1 if differ else 0


def fingerprints(folder):
    """Yield (name, SHA-256)."""
    for bundle in sorted(path.parent for path in ROOT.glob("exports/*/model_card.json")):
        yield f"samples of exports/{bundle.name}", samples(bundle, folder)
    for arch in ARCHITECTURES:
        for preset, precision in VARIANTS:
            what = f"{arch} {preset} {precision}"
            run = folder / what.replace(" ", "-")
            settings = ("--arch", arch, "--preset", preset, "--precision", precision)
            keras_ganvae("train", *settings, *TRAINING, "--out", run)
            yield f"{what}: training state", arrays(newest_state(run) / "variables.npz")
            if (run / "prior.npz").exists():
                yield f"{what}: prior", arrays(run / "prior.npz")
            yield f"{what}: samples", samples(run, folder)
            if precision == "float32":
                out = folder / f"{run.name}-bundle"
                formats = () if preset == "default" else ("--formats", *FORMATS)
                keras_ganvae("export", run, "--out", out, *formats)
                for file in sorted(out.glob("*.tflite")):
                    yield f"{what}: {file.name}", sha256(file.read_bytes())
                yield f"{what}: golden.npz", arrays(out / "golden.npz")


def newest_state(run):
    return max(path for path in (run / "checkpoint").iterdir() if path.is_dir())


def samples(source, folder):
    out = folder / "samples.npz"
    keras_ganvae("sample", source, *SAMPLES, "--out", out)
    return arrays(out)


def arrays(path):
    """Of the names, types, shapes and bytes of an archive's arrays."""
    with np.load(path, allow_pickle=False) as archive:
        parts = [
            f"{name} {archive[name].dtype.str} {archive[name].shape}".encode()
            + archive[name].tobytes()
            for name in sorted(archive.files)
            if archive[name].dtype.kind not in "US"  # captions
        ]
    return sha256(b"".join(parts))


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def keras_ganvae(*arguments):
    command = [sys.executable, "-m", "keras_ganvae", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
