"""Processes that take turns: each waits for a request and uses no processor meanwhile.

A request and its reply are one line of JSON each. Needs nothing but Python.
"""

import json
import os
import subprocess
import sys
import time

SETTLE = 0.05  # seconds; threads of the previous process may spin for some milliseconds


class Process:
    """A child process that answers requests.

    Args:
        command: the child's; its `serve` answers.
        environment: variables added to this process's.
    """

    def __init__(self, command, environment=None):
        self.command = command
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
        )

    def ask(self, do, **arguments):
        """The reply to a request. Ends this program if the child has ended instead."""
        try:
            self.child.stdin.write(json.dumps({"do": do} | arguments) + "\n")
            self.child.stdin.flush()
            line = self.child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.child.wait()
            sys.exit(f"{os.path.basename(self.command[1])} ended with exit code {code}")
        return json.loads(line)

    def close(self):
        """End the child, in the middle of a request too."""
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()


def serve(handlers):
    """Answer the requests on stdin until it ends.

    What libraries print on stdout goes to stderr.

    Args:
        handlers: a function by name of the request, which takes the request's arguments.
    """
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(handlers[request.pop("do")](**request)), file=replies, flush=True)


def rate(run, seconds):
    """Images per second of calls in a row, which last `seconds` together.

    Args:
        run: does some steps, waits for their end, and returns the number of images.
    """
    time.sleep(SETTLE)
    images, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        images += run()
    return images / passed
