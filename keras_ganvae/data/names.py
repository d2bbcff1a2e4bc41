"""Names that are fit for files."""

import re


def file_name(*words: str) -> str:
    """The words joined by hyphens, with nothing but letters, digits, dots, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(words)).strip("-.") or "unnamed"
