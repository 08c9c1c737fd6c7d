"""Where to train and in which precision: chosen once, and reported with the reason."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16"]


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

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Run forward passes in the run's precision, as the Trainer does."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with torch.autocast(self.name, dtype=dtype, enabled=dtype is not None):
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
