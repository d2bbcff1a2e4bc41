"""How far a long measurement has come."""

import sys

# Without rates: what is counted differs from one thing to the next.
FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


class Bar:
    """A progress bar on stderr, one for each thing that is being measured.

    It goes away when that thing is done; where there is no terminal it never appears.
    """

    def __init__(self):
        self.bar = None
        self.doing = None

    def __call__(self, doing, done, total):
        from tqdm import tqdm

        if doing != self.doing:
            self.close()
            self.doing = doing
            self.bar = tqdm(
                total=total,
                desc=doing,
                file=sys.stderr,
                ncols=79,
                bar_format=FORMAT,
                leave=False,
                disable=None,
            )
        self.bar.update(done - self.bar.n)
        if done == total:
            self.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        if self.bar is not None:
            self.bar.close()
        self.bar = self.doing = None
