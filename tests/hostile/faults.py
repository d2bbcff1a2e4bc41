"""Makes operations on files fail in this process, and records them.

Python announces each operation to audit hooks before it does it, and an exception that a hook
raises takes the operation's place. What C++ code writes is not announced: `Fault("size", n)`
limits the size of every file, which the kernel enforces for all code.
"""

import os
import resource
import signal
import sys
from pathlib import Path

from hostile.case import Fault

EVENTS = frozenset(
    {
        "open",
        "os.chmod",
        "os.link",
        "os.listdir",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.scandir",
        "os.symlink",
        "os.truncate",
        "os.utime",
    }
)
# Without an audit event: both take a descriptor.
UNANNOUNCED = ("fsync", "sendfile")
EXCHANGE = "renameat2"
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def install(root: Path, fault: Fault | None, record: int) -> None:
    """From now on, count the operations on files below `root`, and let one of them fail.

    Args:
        root: absolute, without links.
        fault: None only records.
        record: descriptor that gets one line for each operation.
    """
    if fault is not None and fault.how == "size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.at, fault.at))
        return  # it would hold for the record, too
    layer = _Layer(os.fsencode(root), fault, record)
    for name in UNANNOUNCED:
        setattr(os, name, layer.counting(name, getattr(os, name)))
    sys.addaudithook(layer.hook)


class _Layer:
    def __init__(self, root: bytes, fault: Fault | None, record: int):
        self.root, self.fault, self.record = root, fault, record
        self.count = 0

    def hook(self, event, args):
        if event in EVENTS:
            if self._is_below_root(args[0]):
                self.pass_by(_described(event, args), args[0])
        elif event == "ctypes.dlsym" and args[1] == EXCHANGE:
            if self.fault is not None and not self.fault.exchange:
                raise AttributeError(EXCHANGE)
            self.pass_by(EXCHANGE, None)

    def counting(self, name, function):
        def counted(descriptor, *args, **options):
            self.pass_by(name, None)
            return function(descriptor, *args, **options)

        return counted

    def pass_by(self, what, path):
        """Count one operation; if it is the chosen one, do to it what the fault says."""
        self.count += 1
        os.write(self.record, f"{what}\n".encode(errors="backslashreplace"))
        fault = self.fault
        if fault is None or fault.how == "kill after" or self.count != fault.at:
            return
        if fault.how == "error":
            name = None if path is None else os.fsdecode(path)
            raise OSError(fault.number, os.strerror(fault.number), name)
        os.kill(os.getpid(), fault.number)
        if fault.is_kill:
            signal.pause()  # it arrives within an instant

    def _is_below_root(self, path):
        if not isinstance(path, str | bytes | os.PathLike):
            return False  # a descriptor
        full = os.path.join(os.getcwdb(), os.fsencode(path))
        return os.path.normpath(full).startswith(self.root)


def _described(event, args):
    """Such as "open write model.keras", or "os.rename .part-1-0 run"."""
    names = [os.path.basename(os.fsdecode(args[0]))]
    if event == "open":
        mode, flags = args[1], args[2]
        writes = flags & WRITING if mode is None else not set(mode or "").isdisjoint("wax+")
        names.insert(0, "write" if writes else "read")
    elif event == "os.rename":
        names.append(os.path.basename(os.fsdecode(args[1])))
    return " ".join([event, *map(repr, names)])
