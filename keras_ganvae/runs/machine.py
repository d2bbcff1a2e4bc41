"""What the rounding of a run's results depends on: processor, threads, GPUs and versions.

TensorFlow chooses the code of matrix products and convolutions by the processor, and divides
their sums among the threads of an operation. Measured with TensorFlow 2.21 and AVX-512: in a vae
it is the gradient with respect to the inputs of the decoder's last layer, (B, 784) x (784, 320)
with the second matrix transposed, whose terms oneDNN adds in another order with one thread than
with two to eight. In convolutions each number of threads may round in its own way.
"""

import os
import platform
import sys
from pathlib import Path
from typing import Any

from keras_ganvae import runtime

# Environment variables that make TensorFlow choose other code.
KERNEL_SETTINGS = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA")
CPUINFO = Path("/proc/cpuinfo")  # on Linux
# Where it lists instructions, of x86 and of Arm, and how those begin that such code uses.
INSTRUCTIONS = {
    "flags": ("avx", "amx", "fma"),
    "Features": ("asimd", "sve", "sme", "bf16", "i8mm"),
}
PACKAGES = ("tensorflow", "keras", "numpy")  # whose versions may change the rounding


def here() -> dict[str, dict]:
    """The entries of config.json that describe this machine. Call it after devices are chosen.

    Returns:
        versions: see `runtime.versions`.
        machine: `threads`, the number that an operation may use on the CPU; `processor` and
            `instructions`, its model and its vector instructions; `gpus`, their models;
            `settings`, those of `KERNEL_SETTINGS` that are set.
    """
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    facts = _processor_facts()
    machine = {
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or _default_threads(),
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "instructions": _instructions(facts),
        "gpus": ", ".join(each.get("device_name", "unknown") for each in details),
        "settings": " ".join(
            f"{name}={os.environ[name]}" for name in KERNEL_SETTINGS if name in os.environ
        ),
    }
    return {"machine": machine, "versions": runtime.versions()}


def differences(record: dict) -> list[str]:
    """How this machine differs from the one in a config.json, for example "threads: 2, here 1".

    None for a record of an older release, which does not describe its machine.
    """
    if not isinstance(record.get("machine"), dict):
        return []
    there, now = _flat(record), _flat(here())
    return [
        f"{name}: {there.get(name)}, here {now[name]}"
        for name in now
        if there.get(name) != now[name]
    ]


def _flat(record: dict) -> dict[str, Any]:
    versions = record.get("versions")
    versions = versions if isinstance(versions, dict) else {}
    return record["machine"] | {name: versions.get(name) for name in PACKAGES}


def _default_threads() -> int:
    """What TensorFlow takes unless its configuration says otherwise."""
    setting = os.environ.get(runtime.THREADS, "")
    if setting.isdecimal() and int(setting):
        return int(setting)
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor_facts() -> dict[str, str]:
    """What `CPUINFO` says about the first processor; empty on systems without it."""
    try:
        first = CPUINFO.read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _instructions(facts):
    return " ".join(
        sorted(
            name
            for key, beginnings in INSTRUCTIONS.items()
            for name in facts.get(key, "").split()
            if name.startswith(beginnings)
        )
    )
