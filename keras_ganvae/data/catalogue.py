"""Which data sets are on disk, and which can be downloaded."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from keras_ganvae.data import network
from keras_ganvae.data.sources import tfds as tfds_source
from keras_ganvae.files import readable

# Small images that suit these models, and where TFDS downloads them from.
FETCHABLE = {
    "mnist": ("28x28x1, handwritten digits", "https://storage.googleapis.com"),
    "fashion_mnist": (
        "28x28x1, clothes",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    ),
    "kmnist": ("28x28x1, Japanese letters", "http://codh.rois.ac.jp"),
    "emnist": ("28x28x1, letters and digits", "https://biometrics.nist.gov"),
    "cifar10": ("32x32x3, animals and vehicles", "https://www.cs.toronto.edu"),
    "cifar100": ("32x32x3, a hundred kinds of things", "https://www.cs.toronto.edu"),
    "svhn_cropped": ("32x32x3, house numbers", "http://ufldl.stanford.edu"),
}


@dataclass(frozen=True)
class Available:
    """One data set.

    Attributes:
        spec: the spec that `load` takes.
        on_disk: whether it loads without a network.
        fetchable: whether it is not on disk, but its host answers now.
        note: what it is, or where it is on disk.
    """

    spec: str
    on_disk: bool
    fetchable: bool
    note: str


def available(data_dir: str | Path | None = None) -> list[Available]:
    """List the built-in digits, the image data sets in TFDS's folder, and some to download.

    All hosts are tried at once, for at most `network.TIMEOUT` seconds.

    Args:
        data_dir: where TFDS keeps data sets; else TFDS_DATA_DIR, else TFDS's default.
    """
    built_in = Available("synthetic", True, False, "28x28x1, handwriting-like digits, built in")
    prepared = {it.spec: it for it in tfds_source.prepared(data_dir) if _has_images(it.folder)}
    names = {it.name for it in prepared.values()}
    on_disk = [Available(spec, True, False, str(it.folder)) for spec, it in prepared.items()]
    missing = {name: entry for name, entry in FETCHABLE.items() if name not in names}
    return [built_in, *on_disk, *_fetchable(missing)]


def _fetchable(missing: dict[str, tuple[str, str]]) -> list[Available]:
    if not missing:
        return []
    hosts = sorted({host for _, host in missing.values()})
    with ThreadPoolExecutor(len(hosts)) as pool:
        answers = dict(zip(hosts, pool.map(network.reachable, hosts), strict=True))
    return [
        Available(name, False, answers[host], note if answers[host] else f"{note}; not reachable")
        for name, (note, host) in missing.items()
    ]


def _has_images(folder: Path) -> bool:
    """Whether the data set has an image feature called "image"."""
    try:
        features = json.loads(readable(folder / "features.json").read_text())["featuresDict"][
            "features"
        ]
        return "image" in features["image"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        # No image data set, or a damaged one; `load` says which.
        return False
