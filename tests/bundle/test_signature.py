"""Signatures of bundles, and that they are minisign's."""

import base64
import json
import os
import shutil
import subprocess
import sys

import minisign
import pytest

from keras_ganvae.bundle import benchmark, card, signature, speed
from keras_ganvae.bundle.build import export
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.verify import verify
from keras_ganvae.errors import GateFailed, InputError

PASSPHRASE = "correct horse"
TOOL = shutil.which("minisign")
needs_tool = pytest.mark.skipif(not TOOL, reason="needs minisign; Debian: apt install minisign")


def _write_pair(folder, name, passphrase=None):
    pair = minisign.KeyPair.generate()
    (folder / f"{name}.pub").write_bytes(bytes(pair.public_key) + b"\n")
    if passphrase is not None:
        pair.secret_key.encrypt(passphrase)
    (folder / f"{name}.key").write_bytes(bytes(pair.secret_key) + b"\n")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder of key pairs: mine, another's, and one with a passphrase."""
    folder = tmp_path_factory.mktemp("keys")
    _write_pair(folder, "mine")
    _write_pair(folder, "other")
    _write_pair(folder, "locked", PASSPHRASE)
    return folder


def no_passphrase():
    raise AssertionError("the key has no passphrase")


@pytest.fixture(scope="module")
def signed(run_of, keys, tmp_path_factory):
    """A signed bundle, unchanged by tests."""
    signer = signature.secret_key(keys / "mine.key", no_passphrase)
    out = tmp_path_factory.mktemp("signed") / "gan"
    return export(run_of("gan"), out, formats=["float32"], signer=signer)


@pytest.fixture
def copied(signed, tmp_path):
    return shutil.copytree(signed, tmp_path / "signed copy")


def test_a_signed_bundle(signed, keys):
    assert card.SIGNATURE not in Bundle.open(signed).files
    assert verify(signed, key=keys / "mine.pub")["signature_checked"] is True
    assert verify(signed)["signature_checked"] is False
    line = (keys / "mine.pub").read_text().splitlines()[1]
    assert verify(signed, key=line)["signature_checked"] is True


def test_the_same_card_has_the_same_signature(copied, keys):
    first = (copied / card.SIGNATURE).read_bytes()
    signature.sign(copied, signature.secret_key(keys / "mine.key", no_passphrase))
    assert (copied / card.SIGNATURE).read_bytes() == first


def test_the_secret_key_is_nowhere_in_the_bundle(signed, keys):
    text = (keys / "mine.key").read_bytes().splitlines()[1]
    secrets = [base64.b64decode(text)[62:94], text[80:120]]  # minisign's format, and as it is
    for path in signed.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets)


def test_another_key(signed, keys):
    with pytest.raises(GateFailed, match="is not this key's signature of the present model_card"):
        verify(signed, key=keys / "other.pub")


def test_an_unsigned_bundle(tiny_bundle, keys):
    assert verify(tiny_bundle("gan"))["signature_checked"] is None
    with pytest.raises(GateFailed, match=r"is not signed: it has no model_card\.json\.minisig"):
        verify(tiny_bundle("gan"), key=keys / "mine.pub")


def test_a_card_with_a_new_digest(copied, restated, keys):
    """Who changes a bundle can make its checksums anew, but not its signature."""
    restated(copied, lambda record: record["training"].update(epochs=1000))
    assert verify(copied)["signature_checked"] is False
    with pytest.raises(GateFailed, match="is not this key's signature of the present"):
        verify(copied, key=keys / "mine.pub")


def test_spaces_are_signed_too(copied, keys):
    path = copied / card.NAME
    path.write_text(path.read_text() + " ")
    verify(copied)
    with pytest.raises(GateFailed, match="is not this key's signature of the present"):
        verify(copied, key=keys / "mine.pub")


def test_an_altered_file_of_a_signed_bundle(copied, keys):
    (copied / "README.md").write_text("Send us your money.")
    with pytest.raises(GateFailed, match="README.md has 19 bytes instead of"):
        verify(copied, key=keys / "mine.pub")


SIGNATURES = {
    "empty": b"",
    "binary": bytes(range(256)),
    "too large": b"untrusted comment: x\n" * 1000,
    "three lines": b"untrusted comment: x\nRWQ=\ntrusted comment: y\n",
}


@pytest.mark.parametrize("fault", SIGNATURES)
def test_what_is_not_a_signature(copied, keys, fault):
    (copied / card.SIGNATURE).write_bytes(SIGNATURES[fault])
    with pytest.raises(GateFailed, match="is not a signature of minisign") as failed:
        verify(copied, key=keys / "mine.pub")
    assert "\n" not in str(failed.value)


def test_every_part_of_a_signature_counts(copied, keys):
    path = copied / card.SIGNATURE
    intact = path.read_text()
    for line in (1, 2, 3):  # the first is the untrusted comment
        lines = intact.splitlines()
        swapped = "B" if lines[line][40:41] != "B" else "C"
        lines[line] = lines[line][:40] + swapped + lines[line][41:]
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(GateFailed):
            verify(copied, key=keys / "mine.pub")


def test_a_link_is_no_signature(copied, signed, keys):
    (copied / card.SIGNATURE).unlink()
    (copied / card.SIGNATURE).symlink_to(signed / card.SIGNATURE)
    with pytest.raises(GateFailed, match="is not signed"):
        verify(copied, key=keys / "mine.pub")
    with pytest.raises(GateFailed, match="is a link, not a file of the bundle"):
        verify(copied)


# Keys


@pytest.fixture
def bad_keys(keys, tmp_path):
    """Paths of what is no key."""
    (tmp_path / "text").write_text("mine")
    (tmp_path / "large").write_bytes(b"A" * 100_000)
    os.mkfifo(tmp_path / "pipe")
    secret = (keys / "mine.key").read_text().splitlines()
    lines = secret[1][:-60] + ("A" * 20) + secret[1][-40:]
    (tmp_path / "damaged").write_text(f"{secret[0]}\n{lines}\n")
    return [tmp_path / name for name in ("text", "large", "pipe", "absent", "", "damaged")]


def test_bad_keys_are_bad_input(signed, keys, bad_keys):
    for path in [*bad_keys, keys / "mine.pub", "nul\0", "é"]:
        with pytest.raises(InputError, match=r"`sign=") as wrong:
            signature.secret_key(path, no_passphrase)
        assert "\n" not in str(wrong.value)
    for path in [*bad_keys, keys / "mine.key", "nul\0", "é", ""]:
        with pytest.raises(InputError, match=r"`key=") as wrong:
            verify(signed, key=path)
        assert "\n" not in str(wrong.value)


def test_a_passphrase(copied, keys):
    locked = keys / "locked.key"
    signature.sign(copied, signature.secret_key(locked, lambda: PASSPHRASE))
    assert verify(copied, key=keys / "locked.pub")["signature_checked"]
    with pytest.raises(InputError, match="wrong password"):
        signature.secret_key(locked, lambda: "guess")


def test_without_the_library(signed, keys, monkeypatch):
    monkeypatch.setitem(sys.modules, "minisign", None)
    with pytest.raises(InputError, match=r"need .* py-minisign; install keras-ganvae\[sign\]"):
        verify(signed, key=keys / "mine.pub")
    assert verify(signed)["signature_checked"] is False


# The command line


def test_from_the_command_line(run_of, keys, command, tmp_path):
    out = tmp_path / "gan"
    export_it = ("export", run_of("gan").path, "--out", out, "--formats", "float32")
    code, _, err = command(*export_it, "--sign", keys / "mine.key")
    assert code == 0, err
    code, text, _ = command("verify", out, "--key", keys / "mine.pub")
    assert code == 0 and text.endswith("all verified, signed by the key's owner\n")
    code, text, _ = command("verify", out, "--key", keys / "mine.pub", "--json")
    assert code == 0 and json.loads(text)["signature_checked"] is True
    code, text, _ = command("verify", out)
    assert code == 0 and text.endswith("all verified\n")
    code, _, err = command("verify", out, "--key", keys / "other.pub")
    assert code == 1 and "is not this key's signature" in err and err.count("\n") == 1
    code, _, err = command("verify", out, "--key", keys / "absent")
    assert code == 2 and f"can't read --key {keys / 'absent'}" in err and err.count("\n") == 1
    # A signed bundle is replaced as any other.
    code, _, err = command(*export_it, "--overwrite")
    assert code == 0 and not (out / card.SIGNATURE).exists(), err


def test_a_bad_key_is_found_before_the_export(run_of, keys, command, tmp_path):
    out = tmp_path / "gan"
    for path in (keys / "absent", keys / "mine.pub"):
        code, _, err = command("export", run_of("gan").path, "--out", out, "--sign", path)
        assert code == 2 and f"--sign {path}" in err and err.count("\n") == 1
    assert not out.exists()


def test_the_passphrase_comes_from_the_environment_or_the_terminal(
    copied, keys, command, monkeypatch
):
    locked = keys / "locked.key"
    again = ("benchmark", copied, "--no-quality", "--sign", locked)
    monkeypatch.delenv("KERAS_GANVAE_PASSPHRASE", raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    code, _, err = command(*again)
    assert code == 2 and f"--sign {locked} needs a passphrase: set KERAS_GANVAE_PASSPHRASE" in err
    monkeypatch.setenv("KERAS_GANVAE_PASSPHRASE", "guess")
    code, _, err = command(*again)
    assert code == 2 and "wrong password" in err and err.count("\n") == 1
    assert verify(copied, key=keys / "mine.pub")["signature_checked"]
    monkeypatch.delenv("KERAS_GANVAE_PASSPHRASE")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: PASSPHRASE)
    code, _, err = command(*again)
    assert code == 0, err
    assert verify(copied, key=keys / "locked.pub")["signature_checked"]


def _quick(path, threads):
    return speed.measure(path, threads, loads=2, runs=5)


# Benchmark


def test_a_benchmark_keeps_the_signature_or_does_nothing(copied, keys):
    before = {name: (copied / name).read_bytes() for name in (card.NAME, card.README)}
    with pytest.raises(InputError, match="is signed, .* `sign` signs it again; or remove model"):
        benchmark.benchmark(Bundle.open(copied), measure_speed=_quick)
    assert {name: (copied / name).read_bytes() for name in before} == before
    assert not (copied / "benchmark.json").exists()
    signer = signature.secret_key(keys / "mine.key", no_passphrase)
    benchmark.benchmark(Bundle.open(copied), measure_speed=_quick, signer=signer)
    assert Bundle.open(copied).card["metrics"]
    assert verify(copied, key=keys / "mine.pub")["signature_checked"]


# The tool that the format comes from


@needs_tool
def test_the_tool_verifies_our_signature(signed, keys):
    verify_it = [TOOL, "-V", "-m", signed / card.NAME, "-p"]
    done = subprocess.run([*verify_it, keys / "mine.pub"], capture_output=True, text=True)
    assert done.returncode == 0 and "Signature and comment signature verified" in done.stdout
    done = subprocess.run([*verify_it, keys / "other.pub"], capture_output=True, text=True)
    assert done.returncode != 0


@needs_tool
def test_we_verify_the_tools_signature_and_sign_with_its_key(copied, keys, tmp_path):
    public, secret = tmp_path / "tool.pub", tmp_path / "tool.key"
    run = {"check": True, "capture_output": True}
    subprocess.run([TOOL, "-G", "-W", "-p", public, "-s", secret], **run)
    subprocess.run([TOOL, "-S", "-s", secret, "-m", copied / card.NAME], **run)
    assert verify(copied, key=public)["signature_checked"]
    signature.sign(copied, signature.secret_key(secret, no_passphrase))
    assert verify(copied, key=public)["signature_checked"]
    subprocess.run([TOOL, "-V", "-p", public, "-m", copied / card.NAME], **run)
