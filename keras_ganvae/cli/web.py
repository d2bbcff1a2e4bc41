"""`demo` and `web`: bundles in a browser, from this machine or as a site for any host."""

import contextlib
import ipaddress
import shlex
import signal
import sys
import tempfile
import threading
import webbrowser
from pathlib import Path

from keras_ganvae.cli.parser import command
from keras_ganvae.errors import InputError

EVERYWHERE = ("0.0.0.0", "::")
# Secure Contexts (W3C): potentially trustworthy are https and this machine itself.
INSECURE = """\
Over plain http a phone draws, but can't install the app or use it offline:
browsers allow that only over https, or from localhost. For both, write a site
with `keras-ganvae web` and put it on a host that has https."""


def add(commands):
    parser = command(commands, "demo", run_demo, "draw from bundles in a browser")
    _add_bundles(parser)
    parser.add_argument(
        "--port", type=int, default=8000, metavar="N", help="0 takes any free one (default 8000)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="0.0.0.0 lets phones on the same network in (default 127.0.0.1: this machine alone)",
    )
    parser.add_argument("--open", action="store_true", help="open the browser")
    parser = command(commands, "web", run_web, "a site for any web host, installable on phones")
    _add_bundles(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--overwrite", action="store_true", help="replace the site in --out")


def _add_bundles(parser):
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="folders that export made")


def run_web(args):
    from keras_ganvae.web import site

    out = site.write(args.bundles, args.out, overwrite=args.overwrite)
    print(f"{_size(out):.1f} MB of static files, for any web host; to try them here:")
    print(f"  python3 -m http.server -d {shlex.quote(str(out))} 8000")
    print(out)


def run_demo(args):
    if not 0 <= args.port < 2**16:
        raise InputError(f"--port must be from 0 to {2**16 - 1}, not {args.port}")
    from keras_ganvae.web import server, site

    with _killed_as_by_ctrl_c(), tempfile.TemporaryDirectory(prefix="keras-ganvae-") as folder:
        written = site.write(args.bundles, Path(folder) / "site")
        with server.Server(written, args.host, args.port, args.debug) as serving:
            print(_announcement(args.host, serving.port), flush=True)
            if args.open:
                here = "localhost" if args.host in EVERYWHERE else args.host
                # A browser in the terminal returns when it is closed.
                threading.Thread(
                    target=webbrowser.open, args=(_address(here, serving.port),), daemon=True
                ).start()
            # For a server Ctrl-C is the usual end, not an interruption.
            with contextlib.suppress(KeyboardInterrupt):
                serving.serve_forever()
    print("stopped", file=sys.stderr)


@contextlib.contextmanager
def _killed_as_by_ctrl_c():
    """SIGTERM raises KeyboardInterrupt, so that the temporary folder goes then, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _announcement(host, port):
    """The addresses, and for those of a network a QR code and what http can't do."""
    if _is_loopback(host):
        return f"{_address(host, port)}\nCtrl-C stops it."
    from keras_ganvae.web import server

    everywhere = host in EVERYWHERE
    hosts = server.lan_addresses() if everywhere else [host]
    addresses = [_address(each, port) for each in hosts]
    here = [_address("localhost", port)] if everywhere else []
    if not addresses:
        return "\n".join([*here, "This machine is on no network.", "Ctrl-C stops it."])
    code = _shown(server.qr(addresses[0]))
    return "\n".join([*here, *addresses, *code, INSECURE, "Ctrl-C stops it."])


def _shown(code):
    """The lines of a QR code as this terminal can show them; none if it has no such blocks."""
    try:
        code.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return []
    if not sys.stdout.isatty():
        return code.splitlines()
    # White on black whatever the terminal's colours: not every reader takes an inverted code.
    return [f"\033[97;40m{line}\033[0m" for line in code.splitlines()]


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(host, port):
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _size(folder):
    """Megabytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
