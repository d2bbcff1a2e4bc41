"""A small web server for one site, on this machine or its network."""

import contextlib
import errno
import hashlib
import http
import http.server
import io
import os
import shutil
import socket
import socketserver
import struct
import sys
from pathlib import Path
from urllib.parse import unquote

from keras_ganvae.errors import InputError
from keras_ganvae.web.site import PAGE

# Stated twice: index.html has all but frame-ancestors, for servers that send no headers.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';"
    " img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; base-uri 'none';"
    " form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    # Together they isolate the page, without which a browser gives WebAssembly no threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A browser asks each time whether its copy is still right; ETag makes that cheap.
    "Cache-Control": "no-cache",
}
# Python's own table depends on the machine's.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tflite": "application/octet-stream",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}
UNKNOWN_TYPE = "application/octet-stream"
PATIENCE = 30  # seconds that a connection may stay silent
SIOCGIFADDR = 0x8915  # linux/sockios.h: the IPv4 address of an interface
OUTSIDE = "192.0.2.1"  # of no network (RFC 5737); nothing is sent there


class Server(socketserver.ThreadingTCPServer):
    """Serves the files that `folder` holds now, by GET and HEAD, until it is closed.

    Only these files can be asked for, so no address leads out of the folder.

    Raises:
        InputError: it can't listen there.
    """

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # elsewhere it would share a port in use

    def __init__(self, folder, host, port, debug=False):
        folder = Path(folder)
        self.debug = debug
        self.files = {
            f"/{path.relative_to(folder).as_posix()}": path
            for path in folder.rglob("*")
            if path.is_file()
        }
        self.files["/"] = self.files[f"/{PAGE}"]
        self.tags = {path: f'"{_hash(path)}"' for path in self.files.values()}
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.address_family, _, _, _, address = found[0]
            super().__init__(address, Handler)
        except (OSError, UnicodeError) as error:
            raise InputError(_refusal(error, host, port)) from error

    @property
    def port(self) -> int:
        return self.server_address[1]

    def handle_error(self, request, client_address):
        error = sys.exception()
        if isinstance(error, ConnectionError | TimeoutError):  # a browser that hung up
            return
        if self.debug:
            super().handle_error(request, client_address)
        else:
            print(f"a request failed: {type(error).__name__}: {error}", file=sys.stderr)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    def do_GET(self):
        path = self.answer()
        if path is not None:
            with open(path, "rb") as file:
                shutil.copyfileobj(file, self.wfile)

    def do_HEAD(self):
        self.answer()

    def answer(self) -> Path | None:
        """Send all but the content; returns the file to send, if any."""
        path = self.server.files.get(unquote(self.path.partition("?")[0]))
        if path is None:
            self.send_error(http.HTTPStatus.NOT_FOUND)
            return None
        tag = self.server.tags[path]
        if self.headers["If-None-Match"] == tag:
            self.send_response(http.HTTPStatus.NOT_MODIFIED)
            self.send_header("ETag", tag)
            self.end_headers()
            return None
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", TYPES.get(path.suffix.lower(), UNKNOWN_TYPE))
        self.send_header("Content-Length", str(path.stat().st_size))
        self.send_header("ETag", tag)
        self.end_headers()
        return path

    def refuse(self):
        self.close_connection = True  # a body may follow, which nobody reads
        self.send_response(http.HTTPStatus.METHOD_NOT_ALLOWED)
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = refuse

    def end_headers(self):
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self):
        return "keras-ganvae"

    def log_message(self, *args):
        if self.server.debug:
            super().log_message(*args)


# Where to find it


def lan_addresses() -> list[str]:
    """This machine's IPv4 addresses on its networks, the likeliest one first."""
    found = [*_towards_the_world(), *_of_interfaces(), *_of_its_name()]
    return [each for each in dict.fromkeys(found) if not each.startswith("127.")]


def qr(address) -> str:
    """A QR code of an address, for a terminal: light blocks on a dark ground."""
    import segno

    text = io.StringIO()
    segno.make(address, micro=False).terminal(text, compact=True)
    return text.getvalue()


def _towards_the_world():
    """The address that packets to the internet would leave from; none is sent."""
    with (
        contextlib.suppress(OSError),  # no network
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
    ):
        probe.connect((OUTSIDE, 9))
        yield probe.getsockname()[0]


def _of_interfaces():
    if sys.platform != "linux":  # the request's number is Linux's
        return
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # it has no IPv4 address
                asked = struct.pack("256s", name.encode())
                answer = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, asked)
                yield socket.inet_ntoa(answer[20:24])


def _of_its_name():
    with contextlib.suppress(OSError):  # the name is in no table
        yield from socket.gethostbyname_ex(socket.gethostname())[2]


def _refusal(error, host, port):
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; choose another, or --port 0 for any that is free"
    reason = getattr(error, "strerror", None) or error
    return f"can't listen on {host}, port {port}: {reason}"


def _hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]
