#!/usr/bin/env python
"""Train the digit classifier that this package ships, on MNIST's training images.

    python scripts/train_classifier.py [--data-dir DIR] [--seed N] [--epochs N] [--out FILE]

Writes the weights and a JSON file with their test accuracy, checksum and training settings.
Writes nothing if the test accuracy is below 99.2 %.
"""

import argparse
import logging
import sys
from pathlib import Path

from keras_ganvae import runtime
from keras_ganvae.files import replacing, sha256_of, write_json

SHIPPED = Path(__file__).parents[1] / "keras_ganvae" / "metrics" / "digits.keras"
MIN_ACCURACY = 0.992  # on the test images


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="TFDS folder with MNIST (default TFDS_DATA_DIR)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--out", type=Path, default=SHIPPED, help="a .keras file")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    runtime.start()
    train(args)


def train(args):
    from keras_ganvae import data
    from keras_ganvae.metrics import classifier

    runtime.prepare(args.seed, "float32")  # makes the weights reproducible
    mnist = data.load("mnist", data_dir=args.data_dir)
    model = classifier.train_classifier(mnist, args.seed, args.epochs)
    errors = classifier.count_errors(model, mnist.test)
    accuracy = 1 - errors / len(mnist.test)
    print(f"test accuracy {accuracy:.2%}, {errors} errors")
    if accuracy < MIN_ACCURACY:
        sys.exit(f"below {MIN_ACCURACY:.1%}: nothing written")
    with replacing(args.out) as beside:
        model.save(beside)
        digest = sha256_of(beside)
    record = {
        "test_accuracy": accuracy,
        "test_errors": errors,
        "test_images": len(mnist.test),
        "seed": args.seed,
        "epochs": args.epochs,
        "parameters": model.count_params(),
        "sha256": digest,
        "data_fingerprint": mnist.fingerprint,
        "versions": runtime.versions(),
        "command": f"python scripts/{Path(__file__).name}"
        f" --seed {args.seed} --epochs {args.epochs}",
    }
    write_json(args.out.with_suffix(".json"), record)
    print(args.out)


if __name__ == "__main__":
    main()
