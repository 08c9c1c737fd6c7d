"""results.json: for each section its figures, and when, where and on what they were measured."""

import json
import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from cardproof.files import write_text_atomic
from dev.benchmarks.bench import TINY, Bench

FILE = "results.json"
# Instructions that decide how fast a matrix product can be.
FAST_PRODUCTS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "datasets", "pyarrow", "numpy",
            "dvc")  # fmt: skip


def spread(values: Sequence[float]) -> dict[str, float]:
    """The median of repeated measurements, of which there must be one, and their range."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def read_results(folder: Path) -> dict[str, Any]:
    """What was measured before, by section; empty if nothing was."""
    path = folder / FILE
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """Write all sections, with six significant digits: what is beyond them is noise."""
    text = json.dumps(_rounded(results), indent=1, ensure_ascii=False, allow_nan=False)
    write_text_atomic(folder / FILE, text + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return value


def circumstances(bench: Bench) -> dict[str, Any]:
    """When, on which machine, with which versions and reviews; memory in GiB."""
    usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
    cpuinfo = Path("/proc/cpuinfo")
    information = cpuinfo.read_text() if cpuinfo.exists() else ""
    model = re.search(r"^model name\s*: (.*)$", information, re.M)
    flags = re.search(r"^(?:flags|Features)\s*: (.*)$", information, re.M)
    has = set(flags[1].split()) if flags else set()
    return {
        "date": date.today().isoformat(),
        "tiny": bench.scale == TINY,
        "reviews": bench.name,
        "repeats": bench.scale.repeats,
        "machine": {
            "processor": model[1] if model else platform.processor() or platform.machine(),
            "instructions": ", ".join(name for name in FAST_PRODUCTS if name in has),
            "cores": len(usable(0)),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.machine()}, {'-'.join(platform.libc_ver())}",
        },
        "versions": {"python": platform.python_version()} | {n: version(n) for n in PACKAGES},
    }
