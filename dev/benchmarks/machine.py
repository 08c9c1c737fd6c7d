"""What a measurement was made on: processor, cores, memory, versions."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

# Instructions that decide how fast a matrix product can be.
FAST_PRODUCTS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "datasets", "pyarrow", "numpy",
            "dvc")  # fmt: skip


def describe_machine() -> dict[str, str | int | float]:
    """The machine in words and numbers; memory in GiB."""
    information = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.*)$", information, re.M)
    flags = re.search(r"^(?:flags|Features)\s*: (.*)$", information, re.M)
    has = set(flags[1].split()) if flags else set()
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", _read("/proc/meminfo"), re.M)
    return {
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "instructions": ", ".join(name for name in FAST_PRODUCTS if name in has),
        "cores": usable_cores(),
        "threads_wanted": os.environ.get("OMP_NUM_THREADS", "as many as cores"),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else 0,
        "system": f"{platform.system()} {platform.machine()}, {'-'.join(platform.libc_ver())}",
    }


def describe_versions() -> dict[str, str]:
    """Versions of Python and of the packages that the time is spent in."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_average() -> float:
    """Processes that ran or waited over the last minute; what other work was going on."""
    return os.getloadavg()[0]


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""
