"""What a training run keeps outside its outputs, in case that it is cut off, and for how long."""

import os
import shutil
from pathlib import Path

FINISHED = "finished"  # a file in the folder of a run that needs its checkpoints no more


def checkpoint_root() -> Path:
    """Where checkpoints lie: in the original repository, also for a run in a copy of it."""
    return Path(os.environ.get("DVC_ROOT", ".")) / ".dvc/tmp/cardproof"


def forget_finished(root: Path) -> None:
    """Remove the checkpoints of runs that are done.

    The run itself leaves them: only when DVC has gone on to the next stage is its model kept, and
    a full disk may prevent that.
    """
    for mark in root.glob(f"*/{FINISHED}"):
        shutil.rmtree(mark.parent, ignore_errors=True)
