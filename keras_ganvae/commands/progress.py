"""How far a long measurement has come."""

import sys


class Bar:
    """A progress bar on stderr, one for each thing that is being measured."""

    def __init__(self):
        self.bar = None
        self.doing = None

    def __call__(self, doing, done, total):
        from tqdm import tqdm

        if doing != self.doing:
            self.close()
            self.doing = doing
            self.bar = tqdm(
                total=total, desc=doing, file=sys.stderr, ncols=79, unit_scale=True, disable=None
            )
        self.bar.update(done - self.bar.n)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        if self.bar is not None:
            self.bar.close()
