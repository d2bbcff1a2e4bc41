"""The progress bar of long measurements."""

import sys
from types import TracebackType
from typing import Any

# No rate: the unit differs from one measurement to the next.
FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


class ProgressBar:
    """A progress bar on stderr for one measurement after another.

    Each bar is cleared when its measurement ends. Without a terminal nothing is shown.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._label = ""

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of the measurement `label` are done."""
        from tqdm import tqdm  # not needed for help

        if self._bar is None or label != self._label:
            self.close()
            self._label = label
            self._bar = tqdm(
                total=total,
                desc=label,
                file=sys.stderr,
                ncols=79,
                bar_format=FORMAT,
                leave=False,
                disable=None,
            )
        self._bar.update(done - self._bar.n)
        if done == total:
            self.close()

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Clear the bar."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None
