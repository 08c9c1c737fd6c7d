"""Where to train and in which precision: chosen once, and reported with the reason."""

import ctypes
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]

SLOW = (
    1.2  # times fp32's time: from there on a precision that is meant to save time is said to cost
)


@dataclass(frozen=True)
class Device:
    """The device and precision of a run.

    Attributes:
        name: "cuda", "mps" or "cpu".
        precision: what the run uses.
        wanted: what the recipe asks for.
        reason: why this device, and why another precision than the wanted one if so.
    """

    name: str
    precision: Precision
    wanted: Precision
    reason: str

    @property
    def dtype(self) -> torch.dtype:
        """What matrix products are computed in."""
        dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        return dtypes[self.precision]

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Run forward passes in the run's precision, as the Trainer does."""
        mixed = self.precision != "fp32"
        with torch.autocast(self.name, dtype=self.dtype if mixed else None, enabled=mixed):
            yield


def choose_device(wanted: Precision) -> Device:
    """Choose CUDA before MPS before CPU, and the nearest precision that the device can do."""
    if torch.cuda.is_available():
        name, reason = "cuda", f"{torch.cuda.get_device_name(0)} found"
    elif torch.backends.mps.is_available():
        name, reason = "mps", "Apple GPU found"
    else:
        name, reason = "cpu", "no GPU found"
    precision, why = nearest_precision(name, wanted)
    return Device(name, precision, wanted, reason + (f"; {why}" if why else ""))


def nearest_precision(device: str, wanted: Precision) -> tuple[Precision, str]:
    """The precision to use on `device` for the wanted one, and why if it is another."""
    if device == "cuda" and wanted == "bf16" and not torch.cuda.is_bf16_supported(False):
        return "fp16", "this GPU has no bf16, so fp16"
    if device == "mps" and wanted != "fp32":
        return "fp32", f"mixed precision ({wanted}) is not used on MPS, so fp32"
    if device == "cpu" and wanted == "fp16":
        if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
            return "bf16", "a CPU cannot train in fp16, so bf16"
        return "fp32", "a CPU cannot train in fp16 and this one has no bf16, so fp32"
    return wanted, ""


def bf16_time_ratio(size: int = 512, repeats: int = 3) -> float:
    """Time of a matrix product in bf16 as a multiple of the same in fp32, on this processor.

    Below 1 where it has instructions for bf16; where it has none, torch emulates them.

    Args:
        size: rows and columns of the matrices.
        repeats: products in each precision, of which the quickest counts.
    """
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        square, times = torch.ones(size, size, dtype=dtype), []
        for _ in range(repeats + 1):  # the first one also sets up the kernel
            start = time.perf_counter()
            square @ square
            times.append(time.perf_counter() - start)
        seconds[dtype] = min(times)
    return seconds[torch.bfloat16] / seconds[torch.float32]


def describe_precision(device: Device) -> str:
    """A line to print where the run's precision is slow on its device; empty where it is not.

    It holds a measurement, so it is no part of `Device.reason`, which is the same for each run.
    """
    if device.name != "cpu" or device.precision != "bf16":
        return ""
    ratio = bf16_time_ratio()
    if ratio < SLOW:
        return ""
    return (
        f"bf16 takes {ratio:.1f} times as long as fp32 on this processor, which has no fast "
        "instructions for it; set train.precision=fp32 to train faster"
    )


# Numbers of mallopt's options, from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Let glibc keep the memory that tensors free, for the next batch to use.

    By default it gives large blocks back to the kernel, which then clears every page of the next
    one: a third of a training step on a CPU. Does nothing where the C library is another.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, 2**28)
