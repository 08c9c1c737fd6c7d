"""Processes forked from one that has imported the libraries, which takes each start some seconds.

Not from the tests' own process: it may have threads, which a fork does not take along.
"""

import multiprocessing
import os
import runpy
import sys
from pathlib import Path

import torch

WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(
    ["tests.training.test_trainer", "transformers.models.distilbert.modeling_distilbert"]
)


def log_to(path: Path) -> None:
    """Let this process write all it says to a file, after what is in it."""
    sys.stdout = sys.stderr = path.open("a", encoding="utf-8")


def run_module(
    module: str, *arguments: str, cwd: Path, log: Path, environment: dict[str, str] | None = None
) -> None:
    """Do in this process what `python -m module arguments` does in a folder."""
    log_to(log)
    os.chdir(cwd)
    os.environ.update(environment or {})
    # torch read it when it was imported.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")
