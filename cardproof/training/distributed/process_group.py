"""The process group of a training, and its collectives; a single process only hears itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from cardproof.training.distributed.launch import Process, ProcessesError

TIMEOUT = timedelta(minutes=5)  # of waiting for another process; then it counts as lost


@contextmanager
def process_group(process: Process, device: str) -> Iterator[None]:
    """Initialise the process group, if there are other processes, for as long as this is open.

    Raises:
        ProcessesError: the device cannot be used by several processes.
    """
    if process.count == 1:
        yield
        return
    if device not in ("cpu", "cuda"):
        raise ProcessesError(f"{device} trains in one process; set train.processes=1")
    if device == "cuda":
        torch.cuda.set_device(process.local_rank)
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=TIMEOUT)
    yield
    # Not after an error: others may be gone, and the end of this process is the end of it.
    distributed.destroy_process_group()


def is_distributed() -> bool:
    """Whether there are other processes."""
    return distributed.is_available() and distributed.is_initialized()


def all_gather(value: Any) -> list[Any]:
    """Each process's value, in the order of their ranks."""
    if not is_distributed():
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def check_same_run(key: str) -> None:
    """Make sure that all processes train the same run.

    Raises:
        ProcessesError: another process has another key.
    """
    if len(set(all_gather(key))) > 1:
        raise ProcessesError(
            "the hosts are not set up alike; params.yaml, data/base, data/tokens, the code, the "
            "packages' versions and OMP_NUM_THREADS must be the same on all of them"
        )


def any_process(*flags: bool, device: torch.device) -> list[bool]:
    """For each flag, whether any process has it set."""
    if not is_distributed():
        return list(flags)
    reduced = torch.tensor(flags, dtype=torch.int32, device=device)
    distributed.all_reduce(reduced, distributed.ReduceOp.MAX)
    return [bool(flag) for flag in reduced.tolist()]


def barrier() -> None:
    """Wait until every process is here."""
    if is_distributed():
        distributed.barrier()
