"""Runs the training stage in several processes, by torchrun.

torchrun reads its own options from the environment, so several hosts need nothing else: with
PET_NNODES, PET_NODE_RANK, PET_MASTER_ADDR and PET_MASTER_PORT each host starts its part.
"""

import ctypes
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.errors import CardproofError, StoppedError
from cardproof.recipe.environment import LAUNCHER, RANKS

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

SHUTDOWN_SECONDS = 120  # that processes get to save what they have, once they are told to end
_PR_SET_PDEATHSIG = 1  # from Linux's sys/prctl.h


class ProcessesError(CardproofError):
    """Processes that could not be started, or of which one failed."""


@dataclass(frozen=True)
class Process:
    """One of the processes that train together.

    Attributes:
        rank: among all, from 0. Rank 0 writes the files.
        local_rank: among those on its host.
        count: of all processes, the world size.
        node: its host's rank.
        nodes: how many hosts there are.
    """

    rank: int
    local_rank: int
    count: int
    node: int
    nodes: int


SINGLE_PROCESS = Process(0, 0, 1, 0, 1)


def this_process() -> Process:
    """Which process this is, by what torchrun says in the environment; without it the only one."""
    if LAUNCHER not in os.environ:
        return SINGLE_PROCESS
    return Process(*(int(os.environ[name]) for name in RANKS))


def configure_process(process: Process, expected: int) -> None:
    """Make this process one of several: only rank 0 prints, and none outlives its launcher.

    Raises:
        ProcessesError: there are not as many processes as expected.
    """
    if process.count != expected:
        raise ProcessesError(
            f"{process.count} processes were started and train.processes is {expected}; "
            "start this stage by `dvc repro`, which starts as many"
        )
    if process == SINGLE_PROCESS:
        return
    if sys.platform == "linux":  # also when the launcher gets a SIGKILL
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if process.rank > 0:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (until the end)


def launch(module: str, processes: int) -> None:
    """Run `python -m module` in `processes` processes, over all hosts, and wait for them.

    Raises:
        ProcessesError: one of them failed, or the hosts did not find each other.
        StoppedError: a signal ended them.
    """
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.run import parse_args, run

    here = _local_processes(processes)
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN_SECONDS))
    print(f"{here} of {processes} processes are started on this host", flush=True)
    try:
        arguments = [f"--nproc-per-node={here}", "--max-restarts=0", "-m", module]
        run(parse_args(arguments))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        raise ProcessesError(_why_failed(error, processes)) from error
    except SignalException as error:
        raise StoppedError("interrupted; `dvc repro` resumes from the last checkpoint") from error
    except (RendezvousError, DistError, TimeoutError) as error:
        raise ProcessesError(
            f"the hosts did not find each other: {error}; PET_MASTER_ADDR and PET_MASTER_PORT must "
            "name host 0 on all of them, and each needs a PET_NODE_RANK of its own"
        ) from error


def _local_processes(processes: int) -> int:
    """How many of the processes run on this host, each on a GPU or on its share of the cores."""
    import torch

    named = os.environ.get("PET_NNODES", "1")
    nodes = int(named) if named.isdigit() else 0
    if nodes < 1 or processes % nodes:
        raise ProcessesError(
            f"train.processes={processes} cannot be spread evenly over PET_NNODES={named} hosts"
        )
    here, gpus = processes // nodes, torch.cuda.device_count()
    if 0 < gpus < here:
        raise ProcessesError(
            f"{here} processes need {here} GPUs on this host and it has {gpus}; set "
            f"train.processes={gpus * nodes}, or CUDA_VISIBLE_DEVICES= to train on the CPU"
        )
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // here)))
    return here


def _why_failed(error: "ChildFailedError", processes: int) -> str:
    """What happened to the process that failed first, and what to do."""
    rank, failure = error.get_first_failure()
    if failure.exitcode < 0:
        what = f"was ended by {failure.signal_name()}"
    else:
        what = f"failed with exit code {failure.exitcode}: see its error above"
    return (
        f"process {rank} of {processes} {what}. The others were ended too; `dvc repro` resumes "
        "from the last checkpoint"
    )
