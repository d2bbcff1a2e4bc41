import contextlib
import errno
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_ganvae.cli import web
from keras_ganvae.errors import InputError
from keras_ganvae.web import server

PATIENCE = 120  # seconds, on a busy machine
CROWD = 200  # simultaneous downloads
FILES = {
    "index.html": b"<!doctype html>",
    "app.js": b"1",
    "app.css": b"",
    "sw.js": b"2",
    "precache.js": b"3",
    "manifest.webmanifest": b"{}",
    "wasm/runtime.wasm": b"\0asm",
    "icons/icon-192.png": b"png",
    "bundles/index.json": b"{}",
    "bundles/a b ü/model.tflite": b"x" * 100_000,
    "bundles/a b ü/golden.npz": b"npz",
    "bundles/a b ü/README.md": b"#",
    "LICENCES.txt": b"Apache",
}
TYPES = {
    "/": "text/html; charset=utf-8",
    "/index.html": "text/html; charset=utf-8",
    "/app.js": "text/javascript; charset=utf-8",
    "/app.css": "text/css; charset=utf-8",
    "/manifest.webmanifest": "application/manifest+json",
    "/wasm/runtime.wasm": "application/wasm",
    "/icons/icon-192.png": "image/png",
    "/bundles/index.json": "application/json",
    "/bundles/a%20b%20%C3%BC/model.tflite": "application/octet-stream",
    "/bundles/a%20b%20%C3%BC/golden.npz": "application/octet-stream",
    "/bundles/a%20b%20%C3%BC/README.md": "text/markdown; charset=utf-8",
    "/LICENCES.txt": "text/plain; charset=utf-8",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "site"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    return folder


@contextlib.contextmanager
def running(serving):
    """Serve in a thread."""
    with serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield serving.port
        finally:
            serving.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def port(folder):
    """The port of a server that runs as long as the tests of this module."""
    with running(server.Server(folder, "127.0.0.1", 0)) as port:
        yield port


@pytest.fixture
def ask(port):
    """`ask(method, path, headers, body, at)`: (status, headers, content)."""

    def request(method, path, headers=None, body=None, at=port):
        connection = http.client.HTTPConnection("127.0.0.1", at, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    return request


@pytest.mark.parametrize("path", TYPES)
def test_every_kind_of_file_has_its_type_and_the_headers(ask, path):
    status, headers, content = ask("GET", path)
    assert status == 200 and headers["Content-Type"] == TYPES[path]
    name = path[1:].replace("%20", " ").replace("%C3%BC", "ü") or "index.html"
    assert content == FILES[name] and headers["Content-Length"] == str(len(content))
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-cache"
    policy = headers["Content-Security-Policy"].split("; ")
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize("debug", [False, True])
def test_a_failed_request_cannot_control_the_terminal(folder, ask, debug, monkeypatch, capsys):
    def fail(self):
        raise ValueError("a\x1b[2J\u202e")

    monkeypatch.setattr(server.Handler, "do_GET", fail)
    with (
        running(server.Server(folder, "127.0.0.1", 0, debug)) as port,
        contextlib.suppress(http.client.HTTPException, ConnectionError),
    ):
        ask("GET", "/", at=port)
    printed = capsys.readouterr().err
    assert printed.endswith("a request failed: ValueError: a\\x1b[2J\\u202e\n")
    assert ("Traceback" in printed) == debug and "\x1b" not in printed


def test_head_is_get_without_the_content(ask):
    status, headers, content = ask("HEAD", "/app.js")
    assert (status, headers["Content-Length"], content) == (200, "1", b"")
    assert ask("HEAD", "/none")[0] == 404


def test_a_query_is_ignored(ask):
    assert ask("GET", "/index.html?source=pwa")[2] == FILES["index.html"]


def test_an_unchanged_file_is_not_sent_again(ask, folder):
    modified = ask("GET", "/app.js")[1]["Last-Modified"]
    status, _, content = ask("GET", "/app.js", {"If-Modified-Since": modified})
    assert (status, content) == (304, b"")
    later = (folder / "sw.js").stat().st_mtime + 10
    os.utime(folder / "sw.js", (later, later))
    assert ask("GET", "/sw.js", {"If-Modified-Since": modified})[2] == FILES["sw.js"]


@pytest.mark.parametrize(
    "path",
    [
        "/none",
        "/icons",
        "/icons/",
        "/bundles/",
        "/app.js/",
        "/link.txt",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/icons/../../secret.txt",
        "/..%5csecret.txt",
        "//etc/passwd",
        "/%00",
        "/index.html%00.js",
        "/%ff",
    ],
)
def test_no_address_leaves_the_folder_and_no_folder_is_listed(ask, path):
    status, headers, content = ask("GET", path)
    assert status == 404 and b"secret" not in content and b"icon-192" not in content
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_not_allowed(ask, method):
    status, headers, content = ask(method, "/", body=b"x" * 1000 if method == "POST" else None)
    assert (status, headers["Allow"], content) == (405, "GET, HEAD", b"")


def test_the_server_survives_bad_requests(port, ask):
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"\x16\x03\x01 what is this\r\n\r\n")
        assert b"400" in connection.recv(1000)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET /bundles/a%20b%20%C3%BC/model.tflite HTTP/1.1\r\n\r\n")
    assert ask("GET", "/")[0] == 200


def test_one_connection_serves_many_requests(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        for path in ("/app.js", "/none", "/", "/icons/icon-192.png"):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.version == 11 and len(answer.read()) == int(
                answer.headers["Content-Length"]
            )
    finally:
        connection.close()


def test_many_simultaneous_downloads_are_all_answered(folder):
    serving = server.Server(folder, "127.0.0.1", 0)
    path = "bundles/a b ü/model.tflite"
    target = "/" + path.replace(" ", "%20").replace("ü", "%C3%BC")
    start = threading.Barrier(CROWD)

    def download(_):
        start.wait(PATIENCE)
        # A connection that finds the queue full is tried again after 1, 3 and 7 seconds.
        connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=5)
        try:
            connection.request("GET", target)
            connected.release()
            connection.sock.settimeout(PATIENCE)
            return connection.getresponse().read()
        finally:
            connection.close()

    connected = threading.Semaphore(0)
    with ThreadPoolExecutor(CROWD) as pool:
        answers = [pool.submit(download, i) for i in range(CROWD)]
        # The slowest server is one that accepts nothing until all have asked.
        everyone = all(connected.acquire(timeout=10) for _ in range(CROWD))
        with running(serving):
            contents = [each.result() for each in answers]
    assert everyone and contents == [FILES[path]] * CROWD


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:9000", 200),  # through a tunnel
        ("127.0.0.2", 421),
        ("[::1]:8000", 421),
        ("10.1.2.3", 421),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example:80@localhost", 421),
        ("localhost, evil.example", 421),
        ("", 421),
    ],
)
def test_a_request_to_another_host_is_misdirected(ask, host, status):
    for method in ("GET", "HEAD", "POST"):
        found, headers, content = ask(method, "/app.js", {"Host": host})
        expected = 405 if (method, status) == ("POST", 200) else status
        assert found == expected and headers["X-Content-Type-Options"] == "nosniff"
        assert (content == FILES["app.js"]) == (method == "GET" and status == 200)


def test_it_is_no_proxy(ask):
    assert ask("GET", "http://other/")[0] == 421
    assert ask("GET", "http://other/", {"Host": "localhost"})[0] == 404


def test_two_hosts_in_a_request_must_both_be_its_own(port):
    for second, status in ((b"127.0.0.1", b"200"), (b"evil.example", b"421")):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            hosts = b"Host: localhost\r\nHost: " + second + b"\r\n"
            connection.sendall(b"HEAD / HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
            assert connection.recv(1000).split()[1] == status


def test_on_all_interfaces_its_hosts_are_those_that_it_announces(ask, folder, monkeypatch):
    monkeypatch.setattr(server, "lan_addresses", lambda: ["10.1.2.3"])
    with running(server.Server(folder, "0.0.0.0", 0)) as port:
        for host in ("localhost", "10.1.2.3", f"10.1.2.3:{port}", "127.0.0.1"):
            assert ask("GET", "/app.js", {"Host": host}, at=port)[0] == 200
        for host in ("10.1.2.4", "0.0.0.0", "laptop.local", "evil.example"):
            assert ask("GET", "/app.js", {"Host": host}, at=port)[0] == 421


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 on this machine")
def test_an_ipv6_socket_knows_its_ipv4_addresses(ask, folder):
    with running(server.Server(folder, "::", 0)) as port:
        assert ask("GET", "/app.js", {"Host": f"127.0.0.1:{port}"}, at=port)[0] == 200
        assert ask("GET", "/app.js", {"Host": "[::1]"}, at=port)[0] == 421


def test_it_says_why_it_cannot_listen(folder, port):
    with pytest.raises(InputError, match=f"port {port} is in use; choose another, or `port=0`"):
        server.Server(folder, "127.0.0.1", port)
    with pytest.raises(InputError, match="can't listen on 192.0.2.77, port 0: "):
        server.Server(folder, "192.0.2.77", 0)
    with pytest.raises(InputError, match="can't listen on no-such-host.invalid"):
        server.Server(folder, "no-such-host.invalid", 0)
    with pytest.raises(InputError, match="can't listen on "):
        server.Server(folder, "a" * 70 + ".example", 0)


# Addresses


@pytest.fixture
def network(monkeypatch):
    """`network({interface: [addresses]}, default_route)`: what this machine is connected to."""

    def connect(interfaces, default_route=None):
        def route(self, address):
            if default_route is None:
                raise OSError(errno.ENETUNREACH, "Network is unreachable")

        ipv4 = {
            name: [SimpleNamespace(family=socket.AF_INET, address=each) for each in addresses]
            for name, addresses in interfaces.items()
        }
        monkeypatch.setattr("psutil.net_if_addrs", lambda: ipv4)
        monkeypatch.setattr("socket.socket.connect", route)
        monkeypatch.setattr("socket.socket.getsockname", lambda self: (default_route, 1))

    return connect


def test_the_address_of_the_default_route_comes_first(network):
    interfaces = {"lo": ["127.0.0.1"], "docker0": ["172.17.0.1"], "wlan0": ["10.0.0.7"]}
    network(interfaces, default_route="10.0.0.7")
    assert server.lan_addresses() == ["10.0.0.7", "172.17.0.1"]
    network(interfaces)
    assert server.lan_addresses() == ["172.17.0.1", "10.0.0.7"]


def test_without_a_network_only_localhost_is_announced(network):
    network({"lo": ["127.0.0.1"]})
    assert server.lan_addresses() == []
    lines = web.announcement("0.0.0.0", 8000).splitlines()
    assert lines[:2] == ["http://localhost:8000/", "This machine is on no network."]


@pytest.mark.parametrize(
    ("host", "address", "has_code"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/", False),
        ("localhost", "http://localhost:80/", False),
        ("::1", "http://[::1]:80/", False),
        ("10.1.2.3", "http://10.1.2.3:80/", True),
        ("laptop.local", "http://laptop.local:80/", True),
    ],
)
def test_a_qr_code_is_for_other_devices(host, address, has_code):
    text = web.announcement(host, 80)
    assert address in text.splitlines()
    assert ("█" in text) == has_code == ("https" in text)


def test_a_qr_code_can_be_read_back():
    lines = server.qr("http://10.0.0.7:8000/").splitlines()
    # Two modules to a character: a light one is drawn. Around it four light ones are quiet.
    rows = [[letter in "█▀" for letter in line] for line in lines]
    lower = [[letter in "█▄" for letter in line] for line in lines]
    modules = [row for pair in zip(rows, lower, strict=True) for row in pair]
    finder = [row[4:11] for row in modules[4:11]]
    dark = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]
    assert ["".join("01"[not light] for light in row) for row in finder] == dark
    assert all(modules[0]) and all(row[0] for row in modules[:-1])


def test_a_terminal_without_block_characters_gets_no_code(monkeypatch):
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding="latin-1"))
    text = web.announcement("10.1.2.3", 80)
    assert "http://10.1.2.3:80/" in text and "█" not in text


# The command in a process of its own

LAUNCHER = """
import signal
import sys
from pathlib import Path
from keras_ganvae.__main__ import main
from keras_ganvae.web import site
site.BUILT = Path(sys.argv.pop(1))
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if pytest runs with &
code = main()
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
sys.exit(code)
"""


@pytest.fixture
def demo(built, tmp_path):
    """`demo(*arguments)`: a process of the command, which is killed at the end of the test."""
    started = []

    def start(*arguments):
        # Tests look for leftovers of temporary folders in tmp_path.
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, built, "demo", *map(str, arguments)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUTF8": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _address_of(process):
    line = process.stdout.readline()
    assert line.startswith("http://"), process.communicate()
    return line.strip()


def _stop(process, ending=signal.SIGINT):
    """Stop the process: (exit code, the rest of stdout, stderr)."""
    process.send_signal(ending)
    # communicate() would miss what readline() has buffered.
    out, err = process.stdout.read(), process.stderr.read()
    return process.wait(PATIENCE), out, err


def _get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_demo_serves_until_it_is_stopped_and_cleans_up(demo, bundle, tmp_path, ending):
    process = demo(bundle, "--port", 0)
    port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", _address_of(process))[1])
    assert (
        _get(port, "/bundles/vae-synthetic/model.tflite") == (bundle / "model.tflite").read_bytes()
    )
    assert b'"vae-synthetic"' in _get(port, "/manifest.webmanifest")
    assert len(list(tmp_path.iterdir())) == 1
    assert _stop(process, ending) == (0, "Press Ctrl-C to stop.\n", "stopped\n")
    assert not list(tmp_path.iterdir())


def test_demo_cleans_up_after_a_killed_one(demo, bundle, tmp_path):
    process = demo(bundle, "--port", 0)
    _address_of(process)
    _stop(process, signal.SIGKILL)
    (leftover,) = tmp_path.iterdir()
    process = demo(bundle, "--port", 0)
    _address_of(process)
    assert len(list(tmp_path.iterdir())) == 1 and not leftover.exists()
    _stop(process)


def test_demo_on_a_network_prints_a_qr_code_and_the_limits_of_http(demo, bundle):
    process = demo(bundle, "--port", 0, "--host", "0.0.0.0")
    port = int(re.fullmatch(r"http://localhost:(\d+)/", _address_of(process))[1])
    assert b"self.VERSION" in _get(port, "/precache.js")
    code, out, _ = _stop(process)
    addresses = server.lan_addresses()
    assert all(f"http://{each}:{port}/\n" in out for each in addresses)
    if addresses:
        assert server.qr(f"http://{addresses[0]}:{port}/") in out
        assert "https" in out
    assert code == 0 and max(len(line) for line in out.splitlines()) <= 80


def test_a_port_in_use_is_reported_in_one_line(demo, bundle, port, tmp_path):
    process = demo(bundle, "--port", port)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert err == (
        f"keras-ganvae: port {port} is in use; choose another, or --port 0 for any free port\n"
    )
    assert not list(tmp_path.iterdir())


def test_demo_explains_bad_input_in_one_line(command, bundle, stand_in, tmp_path):
    for arguments, reason in {
        (): "BUNDLE",
        (tmp_path / "none",): "there is no bundle",
        (tmp_path,): "it has no model_card.json",
        (bundle, "--port", 65536): "--port must be at most 65535, not 65536",
        (bundle, "--port", -1): "--port must be at least 0, not -1",
        (bundle, "--port", "web"): "invalid int value: 'web'",
        (bundle, "--host", "192.0.2.77", "--port", 0): "can't listen on 192.0.2.77",
    }.items():
        code, out, err = command("demo", *arguments)
        assert (code, out) == (2, "") and err.count("\n") == 1 and reason in err, arguments


def test_open_calls_the_browser_with_the_address(command, bundle, stand_in, monkeypatch):
    opened = threading.Event()
    urls = []

    def browser(url):
        urls.append(url)
        opened.set()

    def serve(self):
        assert opened.wait(PATIENCE)
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", browser)
    monkeypatch.setattr(server.Server, "serve_forever", serve)
    code, out, _ = command("demo", bundle, "--port", 0, "--host", "0.0.0.0", "--open")
    assert code == 0 and urls == [out.splitlines()[0]]


@pytest.mark.parametrize("name", ["demo", "web"])
def test_help_imports_nothing_heavy(terminal, name):
    done = terminal(name, "--help", python_options=("-X", "importtime"))
    assert done.returncode == 0 and "BUNDLE" in done.stdout
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not imported & {
        "tensorflow",
        "keras",
        "numpy",
        "PIL",
        "segno",
        "psutil",
        "ai_edge_litert",
    }
