"""Processes forked from one that has imported the libraries, which takes each start some seconds.

Not from the tests' own process: it may have threads, which a fork does not take along.
"""

import multiprocessing
import sys
from pathlib import Path

WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(
    ["tests.training.test_trainer", "transformers.models.distilbert.modeling_distilbert"]
)


def log_to(path: Path) -> None:
    """Let this process write all it says to a file, after what is in it."""
    sys.stdout = sys.stderr = path.open("a", encoding="utf-8")
