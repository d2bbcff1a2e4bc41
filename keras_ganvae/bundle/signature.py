"""Who made a bundle: signatures of its card in minisign's format, by py-minisign.

The card lists the checksum of every other file, so that its signature covers the bundle.
https://jedisct1.github.io/minisign describes keys, the format and the tool `minisign`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ganvae.bundle import card
from keras_ganvae.errors import GateFailed, InputError, first_line
from keras_ganvae.files import replacing

if TYPE_CHECKING:
    from minisign import PublicKey, SecretKey

MAX_BYTES = 2**14  # of a key or a signature; those of minisign have at most 9,000
# Its own default has the time, and the same card would never have the same signature again.
COMMENT = f"file:{card.NAME}\thashed"


def secret_key(path: str | os.PathLike, passphrase: Callable[[], str]) -> SecretKey:
    """Read a secret key, which `minisign -G` writes.

    Args:
        passphrase: called if the key is protected by one.

    Raises:
        InputError: py-minisign is missing, `path` is not a secret key, or the passphrase is
            wrong.
    """
    minisign = _library()
    content = _content(path, "sign", "a secret key of minisign")
    try:
        key = minisign.SecretKey.from_bytes(content)
        if key.is_encrypted():
            key.decrypt(passphrase())
        # A damaged key signs, but nobody could verify it.
        key.get_public_key().verify(b"", key.sign(b"", trusted_comment=COMMENT))
    except ValueError as error:
        reason = first_line(error)
        raise InputError(f"`sign={path}` is not a usable key of minisign: {reason}") from error
    return key


def public_key(key: str | os.PathLike) -> PublicKey:
    """Read a public key.

    Args:
        key: the path of a file, which `minisign -G` writes, or the key itself: the file's
            second line.

    Raises:
        InputError: py-minisign is missing, or `key` is not a public key.
    """
    minisign = _library()
    with contextlib.suppress(ValueError):
        return minisign.PublicKey.from_base64(os.fspath(key))
    content = _content(key, "key", "a public key of minisign")
    try:
        return minisign.PublicKey.from_bytes(content)
    except ValueError as error:
        reason = first_line(error)
        raise InputError(f"`key={key}` is not a public key of minisign: {reason}") from error


def sign(folder: Path, key: SecretKey) -> None:
    """Write the signature of a bundle's card beside it."""
    content = (folder / card.NAME).read_bytes()
    signature = key.sign(content, prehash=True, trusted_comment=COMMENT)
    with replacing(folder / card.SIGNATURE) as beside:
        beside.write_bytes(bytes(signature) + b"\n")


def check_signed(folder: Path, key: PublicKey) -> None:
    """Check that the owner of a key signed a bundle's card as it is.

    Raises:
        GateFailed: the bundle is not signed, or not with this key, or its card was changed.
    """
    minisign = _library()
    path = folder / card.SIGNATURE
    if not path.is_file() or path.is_symlink():
        raise GateFailed(f"{folder} is not signed: it has no {card.SIGNATURE}")
    if path.stat().st_size > MAX_BYTES:
        raise GateFailed(f"{path} is not a signature of minisign: it is too large")
    content = (folder / card.NAME).read_bytes()
    try:
        key.verify(content, minisign.Signature.from_bytes(path.read_bytes()))
    except minisign.VerifyError as error:
        raise GateFailed(
            f"{path} is not this key's signature of the present {card.NAME}: {error}"
        ) from error
    except ValueError as error:
        raise GateFailed(f"{path} is not a signature of minisign: {first_line(error)}") from error


def _library() -> Any:
    try:
        import minisign
    except ModuleNotFoundError as error:
        raise InputError(
            "signatures need the Python package py-minisign; install keras-ganvae[sign]"
        ) from error
    return minisign


def _content(path, setting, kind):
    """The content of a key's file, which is small and a regular one."""
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES:
            return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"can't read `{setting}={path}`: {first_line(error)}") from error
    raise InputError(f"`{setting}={path}` is not {kind}")
