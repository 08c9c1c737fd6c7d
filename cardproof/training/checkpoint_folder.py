"""Where a run's checkpoints lie, and which runs' are kept.

In a folder named by a fingerprint of everything that decides the run's weights, below the original
repository's `.dvc/tmp`: outside the outputs that DVC deletes, and the same for a run in the
workspace, in a temporary copy and in the queue.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from filelock import FileLock, Timeout

from cardproof.files import disk_errors, sha256_of
from cardproof.training.distributed.launch import SINGLE_PROCESS, Process
from cardproof.training.distributed.process_group import all_gather

KEPT_RUNS = 8  # unfinished runs whose checkpoints are kept
LOCK = "lock"
FINISHED = "finished"  # in the folder of a run that came to its end: the workspace of its model


def checkpoint_root() -> Path:
    """Where checkpoints lie: in the original repository, also for a run in a copy of it."""
    return Path(os.environ.get("DVC_ROOT", ".")) / ".dvc/tmp/cardproof"


def run_key(settings: Mapping[str, Any], folders: Sequence[Path]) -> str:
    """A fingerprint of a run: settings, the files it reads, and the project's code that is loaded.

    Args:
        settings: whatever else decides the run's weights; written as JSON.
        folders: inputs; every file in them counts, by its name and its checksum.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            digest.update(f"{path.relative_to(folder)} {sha256_of(path)}\n".encode())
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        # A stage is run as `python -m stages.train`: its own module is then called __main__.
        if name.partition(".")[0] in ("cardproof", "stages", "__main__") and file:
            digest.update(f"{name} {sha256_of(Path(file))}\n".encode())
    return digest.hexdigest()[:16]


@contextmanager
def checkpoint_folder(root: Path, key: str) -> Iterator[Path]:
    """The folder of a run's checkpoints, locked; marked as finished if the block succeeds.

    If another process trains the same run, this one gets a folder that nobody resumes from. On the
    way in, the checkpoints of runs that need them no more are pruned. The run itself leaves its own
    for a later one: only after its end does DVC save the model, and a full disk may prevent that.

    Raises:
        FilesError: the disk is full or not writable.
    """
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / LOCK):  # one process at a time looks for what it may take or remove
            folder = root / key
            lock = _try_lock(folder)
            if lock is None:
                print("another process trains this very run: this one starts from the beginning")
                folder = Path(mkdtemp(prefix=f"{key}-", dir=root))
                lock = _try_lock(folder)
            if _is_done(folder):  # its model is saved: who runs it again wants it trained again
                _empty(folder)
            (folder / FINISHED).unlink(missing_ok=True)
            _prune(root)
        try:
            yield folder
            (folder / FINISHED).write_text(str(Path.cwd()), encoding="utf-8")
        finally:
            if lock:
                lock.release()


@contextmanager
def shared_checkpoint_folder(
    root: Path, key: str, process: Process = SINGLE_PROCESS
) -> Iterator[Path]:
    """`checkpoint_folder`, opened by the first process of each host for all of them there."""
    if process.node:
        key = f"{key}-host-{process.node}"  # the hosts may share a disk
    with ExitStack() as stack:
        opened = None
        if process.local_rank == 0:
            opened = stack.enter_context(checkpoint_folder(root, key))
        folders = {node: path for node, path in all_gather((process.node, opened)) if path}
        yield folders[process.node]


def _try_lock(folder: Path) -> FileLock | None:
    """Lock a folder, which is made if need be; None if another process has it."""
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def _empty(folder: Path) -> None:
    """Remove all that is in a folder but its lock."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _prune(root: Path) -> None:
    """Remove the checkpoints of finished runs and of all but the newest unfinished ones.

    The caller holds the lock of `root`.
    """
    kept = 0
    for folder in sorted(
        (p for p in root.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True
    ):
        finished = _is_done(folder)
        if not finished and kept < KEPT_RUNS:
            kept += 1
        elif lock := _try_lock(folder):
            if not finished:
                print(f"removing the checkpoints of an unfinished run: {folder}")
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def _is_done(folder: Path) -> bool:
    """Whether a run is finished and DVC has saved its model, or has removed its workspace.

    DVC writes dvc.lock once it has saved what a stage wrote: after the run's own mark.
    """
    mark = folder / FINISHED
    if not mark.is_file():
        return False
    workspace = Path(mark.read_text(encoding="utf-8")).absolute()
    if not workspace.exists():
        return True
    lock = workspace / "dvc.lock"
    return lock.is_file() and lock.stat().st_mtime_ns > mark.stat().st_mtime_ns
