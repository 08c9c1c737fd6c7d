"""What the processes of a training tell each other; a process alone only hears itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from cardproof.training.distributed.launch import Process, ProcessesError

LONGEST_WAIT = timedelta(minutes=5)  # for another process; then it counts as lost


@contextmanager
def company(process: Process, device: str) -> Iterator[None]:
    """Meet the other processes, if there are any, for as long as this is open.

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
    backend = "nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    yield
    # Not after an error: others may be gone, and the end of this process is the end of it.
    distributed.destroy_process_group()


def in_company() -> bool:
    """Whether there are other processes."""
    return distributed.is_available() and distributed.is_initialized()


def from_everyone(value: Any) -> list[Any]:
    """Each process's value, in the order of their numbers."""
    if not in_company():
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def check_alike(key: str) -> None:
    """Make sure that all processes train the same thing.

    Raises:
        ProcessesError: another process has another key.
    """
    if len(set(from_everyone(key))) > 1:
        raise ProcessesError(
            "the hosts are not set up alike; params.yaml, data/base, data/tokens, the code, the "
            "packages' versions and OMP_NUM_THREADS must be the same on all of them"
        )


def anyone(*flags: bool, device: torch.device) -> list[bool]:
    """For each flag, whether any process has it set."""
    if not in_company():
        return list(flags)
    said = torch.tensor(flags, dtype=torch.int32, device=device)
    distributed.all_reduce(said, distributed.ReduceOp.MAX)
    return [bool(flag) for flag in said.tolist()]


def wait_for_all() -> None:
    """Wait until every process is here."""
    if in_company():
        distributed.barrier()
