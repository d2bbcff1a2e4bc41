"""A stand-in for the built web app: the files that Python names, for tests without Node."""

from pathlib import Path

PAGE = """<!doctype html>
<title>app</title>
<link rel="manifest" href="manifest.webmanifest">
<script src="app.js"></script>
"""
FILES = {
    "index.html": PAGE,
    "app.js": "",
    "app.css": "",
    "sw.js": 'importScripts("precache.js");\n',
    "wasm/runtime.wasm": "\0asm",
}


def write(folder: Path) -> Path:
    """Write the files into a folder, which is made if need be, and return it."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
