"""`demo` and `web`: bundles in a browser, from this machine or as a site for any host."""

import argparse
import contextlib
import ipaddress
import shlex
import sys
import tempfile
import threading
import webbrowser
from pathlib import Path
from typing import Any

from keras_ganvae.cli.messages import print_lines
from keras_ganvae.cli.parser import command
from keras_ganvae.config import check_range
from keras_ganvae.files import temporary_folder

ALL_INTERFACES = ("0.0.0.0", "::")
# Service workers and installation need a secure context (W3C): https, or this machine itself.
HTTP_LIMITS = """\
Over plain http a phone can draw, but can't install the app or use it offline:
browsers allow that only over https, or from localhost. For both, write a site
with `keras-ganvae web` and publish it on a host with https."""
STOP = "Press Ctrl-C to stop."


def add(commands: Any) -> None:
    """Register `demo` and `web`."""
    parser = command(commands, "demo", run_demo, "try bundles in a browser")
    _add_bundles(parser)
    parser.add_argument(
        "--port",
        type=int,
        default=8000,
        metavar="N",
        help="port to listen on; 0 takes any free port (default 8000)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; 0.0.0.0 admits phones on the same network"
        " (default 127.0.0.1: this machine only)",
    )
    parser.add_argument("--open", action="store_true", help="open the browser")
    parser = command(commands, "web", run_web, "write a site for any web host, installable")
    _add_bundles(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the site")
    parser.add_argument("--overwrite", action="store_true", help="replace the site in --out")


def _add_bundles(parser):
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="folder that export made")


def run_web(args: argparse.Namespace) -> None:
    """Write a site."""
    from keras_ganvae.web import site  # loads NumPy

    out = site.write(args.bundles, args.out, overwrite=args.overwrite)
    print_lines(
        f"{_megabytes(out):.1f} MB of static files, for any web host; to try them here:",
        f"  python3 -m http.server -d {shlex.quote(str(out))} 8000",
        out,
    )


def run_demo(args: argparse.Namespace) -> None:
    """Serve a temporary site until a signal."""
    check_range("port", args.port, least=0, most=2**16 - 1)
    from keras_ganvae.web import server, site  # loads NumPy

    # Unlike `tempfile`'s, it is swept at the next start if this process is killed.
    place = Path(tempfile.gettempdir(), "keras-ganvae-demo")
    with temporary_folder(place, 0o700) as folder:
        written = site.write(args.bundles, folder / "site")
        with server.Server(written, args.host, args.port, args.debug) as serving:
            print(announcement(args.host, serving.port), flush=True)
            if args.open:
                local = "localhost" if args.host in ALL_INTERFACES else args.host
                # In a thread: a browser in the terminal returns only when it is closed.
                threading.Thread(
                    target=webbrowser.open, args=(_url(local, serving.port),), daemon=True
                ).start()
            # Ctrl-C is how a server usually ends, not an interruption.
            with contextlib.suppress(KeyboardInterrupt):
                serving.serve_forever()
    print("stopped", file=sys.stderr)


def announcement(host: str, port: int) -> str:
    """What `demo` prints: its URLs and, on a network, a QR code and the limits of http."""
    if _is_loopback(host):
        return f"{_url(host, port)}\n{STOP}"
    from keras_ganvae.web import server  # loads NumPy

    hosts, urls = [host], []
    if host in ALL_INTERFACES:
        hosts, urls = server.lan_addresses(), [_url("localhost", port)]
    if not hosts:
        return "\n".join([*urls, "This machine is on no network.", STOP])
    lan_urls = [_url(each, port) for each in hosts]
    code = _printable_code(server.qr(lan_urls[0]))
    return "\n".join([*urls, *lan_urls, *code, HTTP_LIMITS, STOP])


def _printable_code(code):
    """The lines of a QR code; none if the terminal's encoding lacks block characters."""
    try:
        code.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return []
    if not sys.stdout.isatty():
        return code.splitlines()
    # White on black whatever the terminal's colours: not every reader takes inverted codes.
    return [f"\033[97;40m{line}\033[0m" for line in code.splitlines()]


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(host, port):
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _megabytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
