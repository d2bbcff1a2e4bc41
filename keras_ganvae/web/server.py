"""A small web server for one site, on this machine or its network."""

import contextlib
import errno
import http
import http.server
import io
import ipaddress
import os
import re
import socket
import socketserver
import sys
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil
import segno

from keras_ganvae.errors import InputError, printable
from keras_ganvae.web.site import PAGE

# index.html repeats it, without frame-ancestors, for hosts that send no headers.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';"
    " img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; base-uri 'none';"
    " form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    # These two isolate the page; without isolation browsers give WebAssembly no threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Browsers revalidate their copy on every use; the answer is usually 304.
    "Cache-Control": "no-cache",
}
# Python's own table depends on the machine's.
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".npz": "application/octet-stream",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tflite": "application/octet-stream",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}
IDLE_SECONDS = 30  # until a silent connection is closed
TEST_NETWORK = "192.0.2.1"  # routed nowhere (RFC 5737); nothing is sent there


# Not HTTPServer, which looks up the host's name and may wait for a DNS server.
class Server(socketserver.ThreadingTCPServer):
    """Serves the files that `folder` holds now, by GET and HEAD, until it is closed.

    Any other address is answered with 404, so no request can leave the folder. A request to
    another host is answered with 421, so that no site can read the files through a name that
    it points to this machine (DNS rebinding). Ports may differ, as they do through a tunnel.

    Args:
        folder: a site.
        host: name or IP address to listen on.
        port: 0 takes any free port.
        debug: log requests, and the traceback of one that fails, to stderr.

    Raises:
        InputError: the server can't listen there.
    """

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # on Windows it would share a port in use
    request_queue_size = 1024  # socketserver's 5 loses connections that come at once

    def __init__(self, folder: str | Path, host: str, port: int, debug: bool = False):
        folder = Path(folder)
        self.debug = debug
        self.files = {
            f"/{path.relative_to(folder).as_posix()}": str(path)
            for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink()
        }
        self.files["/"] = self.files[f"/{PAGE}"]
        try:
            first: Any = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self.address_family, _, _, _, address = first
            super().__init__(address, Handler)
        except (OSError, UnicodeError) as error:
            raise InputError(_why_not_listening(error, host, port)) from error
        on_all = ipaddress.ip_address(address[0]).is_unspecified
        self.hosts = {"localhost", *(lan_addresses() if on_all else [host.lower()])}

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report a failed request in one line, unless the browser closed the connection."""
        error = sys.exception()
        if isinstance(error, ConnectionError | TimeoutError):
            return
        lines = traceback.format_exc().splitlines() if self.debug else []
        for line in [*lines, f"a request failed: {type(error).__name__}: {error}"]:
            print(printable(line), file=sys.stderr)


class Handler(http.server.SimpleHTTPRequestHandler):
    """One connection to a `Server`."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    extensions_map = CONTENT_TYPES

    def translate_path(self, path: str) -> str:
        """The file at an address; "", which does not exist, for an unknown address."""
        return self.server.files.get(unquote(path.partition("?")[0]), "")

    def parse_request(self) -> bool:
        """Read a request; answer one to another host with 421."""
        if not super().parse_request():
            return False
        # An IPv6 socket shows an IPv4 address as ::ffff:127.0.0.1.
        address = self.connection.getsockname()[0].removeprefix("::ffff:")
        for host in self.headers.get_all("Host", []):
            name = re.sub(r":\d*$", "", host.strip().lower())
            if name not in {_in_url(each) for each in (*self.server.hosts, address)}:
                self.close_connection = True  # without reading the request's body
                self.send_error(http.HTTPStatus.MISDIRECTED_REQUEST)
                return False
        return True

    def send_method_not_allowed(self) -> None:
        """Answer a method other than GET and HEAD."""
        self.close_connection = True  # without reading the request's body
        self.send_response(http.HTTPStatus.METHOD_NOT_ALLOWED)
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT = do_PATCH = do_DELETE = send_method_not_allowed
    do_OPTIONS = do_TRACE = do_CONNECT = send_method_not_allowed

    def end_headers(self) -> None:
        """Add `HEADERS` to every response."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """The Server header, without Python's version."""
        return "keras-ganvae"

    def log_message(self, format: str, *args: Any) -> None:
        """Log requests in debug mode only."""
        if self.server.debug:
            super().log_message(format, *args)


def lan_addresses() -> list[str]:
    """This machine's IPv4 addresses on its networks; the one of the default route first."""
    addresses = [
        address.address
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family == socket.AF_INET
    ]
    candidates = dict.fromkeys([*_default_route_address(), *addresses])
    return [address for address in candidates if not address.startswith("127.")]


def qr(address: str) -> str:
    """An address as a QR code for a terminal: light blocks on a dark background."""
    text = io.StringIO()
    segno.make(address, micro=False).terminal(text, compact=True)
    return text.getvalue()


def _in_url(host):
    return f"[{host}]" if ":" in host else host


def _default_route_address():
    """The address that packets to the internet would leave from; none is sent."""
    with (
        contextlib.suppress(OSError),  # no network
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
    ):
        probe.connect((TEST_NETWORK, 9))
        yield probe.getsockname()[0]


def _why_not_listening(error, host, port):
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; choose another, or `port=0` for any free port"
    reason = getattr(error, "strerror", None) or error
    return f"can't listen on {host}, port {port}: {reason}"
