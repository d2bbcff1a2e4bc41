"""Write model.keras so that equal models give equal bytes."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

# What a zip's dates start at. Keras has a date in metadata.json, which its file editor needs.
DATE = "1980-01-01@00:00:00"
METADATA = "metadata.json"
CONFIG = "config.json"


def save(model: Any, path: Path) -> None:
    """Save a Keras model; the bytes depend on the model and the versions of Keras and HDF5.

    Keras itself also saves the time, twice, and the addresses of objects.

    Args:
        path: a file that is not yet there, or has no content that matters.
    """
    model.save(path)
    path.write_bytes(_without_dates_and_addresses(path))


def _without_dates_and_addresses(file: Path) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(file) as saved, zipfile.ZipFile(result, "w") as archive:
        for name in saved.namelist():
            content = saved.read(name)
            if name == METADATA:
                content = json.dumps(json.loads(content) | {"date_saved": DATE}).encode()
            elif name == CONFIG:
                content = json.dumps(_numbered(json.loads(content), {})).encode()
            archive.writestr(zipfile.ZipInfo(name), content)  # dated 1980
    return result.getvalue()


def _numbered(config, numbers):
    """A serialized model with its shared objects numbered from 1 in the order they appear.

    Args:
        config: plain values.
        numbers: the numbers given so far, by address; added to.
    """
    if isinstance(config, list):
        return [_numbered(each, numbers) for each in config]
    if not isinstance(config, dict):
        return config
    return {
        key: numbers.setdefault(value, len(numbers) + 1)
        if key == "shared_object_id"
        else _numbered(value, numbers)
        for key, value in config.items()
    }
