"""Requests that no browser sends, to a running `demo`."""

import re
import socket
from urllib.parse import quote

from hypothesis import strategies as st

from hostile.case import Case
from hostile.scene import SECRET

PATHS = (
    *("/", "/index.html", "/sw.js", "/bundles/index.json", "/nowhere", "//", "/..", "/../notes.md"),
    *("/%2e%2e/notes.md", "/..%2fnotes.md", "/%2e%2e%2f%2e%2e%2fwork%2fnotes.md", "/%00", "/%ff"),
    *(
        "/index.html%00.js",
        "/./index.html",
        "/a/../index.html",
        "\\..\\notes.md",
        "/" + "a" * 70000,
    ),
    *("http://127.0.0.1/", "http://evil.example/", "*", "", "?", "/?a=b", "/#x", "/%", "/%zz"),
    *("/work/notes.md", "/etc/passwd", "//etc/passwd", "/~", "/bundles/", "/bundles/../index.html"),
)
METHODS = ("GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH")
METHODS += ("get", "BREW", "", "G" * 5000, "GET\x00", "\x16\x03\x01")
VERSIONS = ("HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "HTTP/1.1.1")
VERSIONS += ("", "HTTP/", "HTTP/-1.1", "HTTP/1." + "9" * 5000, "http/1.1", "HTTP/x.y")
HOSTS = ("localhost", "127.0.0.1", "LOCALHOST", "localhost:1", "127.0.0.1:99999", "evil.example")
HOSTS += (
    "",
    " ",
    "[::1]",
    "[",
    "a" * 5000,
    "localhost\x00",
    "127.0.0.1.evil.example",
    "2130706433",
)
NAMES = ("Range", "Content-Length", "Transfer-Encoding", "Expect", "Connection", "Upgrade", "Host")
NAMES += ("If-Modified-Since", "If-None-Match", "Accept-Encoding", "Cookie", "Origin", "X", "")
VALUES = ("bytes=0-0", "bytes=-1", "bytes=9-1", "bytes=0-" + "9" * 30, "bytes=a-b", "0-1", "", "-1")
VALUES += ("99999999999", "1e9", "chunked", "100-continue", "close", "keep-alive", "x" * 70000)
VALUES += (
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Thu, 99 Foo 0000 99:99:99 GMT",
    "Mon, 01 Jan 9999999 0",
)
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
FINE = {100, 200, 206, 301, 304, 400, 403, 404, 405, 408, 411, 413, 414, 416, 417, 421, 431}
FINE |= {501, 505}
SECONDS = 20.0  # for an answer


@st.composite
def cases(draw) -> Case:
    """One request, whole, in part, or nothing like one."""
    if draw(st.integers(0, 19)) == 0:
        return Case("server", (draw(st.binary(max_size=60)).decode("latin-1"),))
    path = draw(
        st.one_of(st.sampled_from(PATHS), st.text(max_size=20).map(lambda text: f"/{quote(text)}"))
    )
    version = draw(st.sampled_from(VERSIONS))
    lines = [f"{draw(st.sampled_from(METHODS))} {path} {version}"]
    for host in draw(st.lists(st.sampled_from(HOSTS), max_size=2)):
        lines.append(f"Host: {host}")
    header = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES))
    lines += [": ".join(each) for each in draw(st.lists(header, max_size=4))]
    end = draw(st.sampled_from(["\r\n", "\r\n", "\n", "\r"]))
    text = end.join([*lines, "", draw(st.sampled_from(["", "", "body", "x" * 5000]))])
    if draw(st.integers(0, 9)) == 0:
        text = text[: draw(st.integers(0, 200))]
    return Case("server", (text.encode("latin-1", "replace").decode("latin-1"),))


def violations(case: Case, port: int) -> list[str]:
    """Send the request of a case to a server, and judge the answer and that it still serves."""
    try:
        answer = _exchange(case.argv[0].encode("latin-1"), port)
        good = _exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", port)
    except TimeoutError:
        return [f"no answer in {SECONDS:.0f} s"]
    found = []
    if SECRET.encode() in answer or b"root:" in answer:
        found.append("serves a file that is not the site's")
    for status in map(int, STATUS.findall(answer)):
        if status not in FINE:
            found.append(f"answers with {status}")
    if b" 200 OK" not in good.partition(b"\r\n")[0]:
        found.append(f"no longer serves: {good[:80]!r}")
    return found


def _exchange(request, port):
    """What a server answers to bytes after which nothing follows.

    Raises:
        TimeoutError: neither an answer nor the end of the connection within `SECONDS`.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(1 << 16):
                received += chunk
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            # Else the server has closed the connection, as it may.
    return received
