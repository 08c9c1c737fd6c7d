"""A disk that is full, or that cannot be written: a tmpfs with a copy of the repository on it."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dev.faults import copies
from dev.faults.copies import Bench, Outcome, last_error, run, run_stage

MIB = 2**20
CAUSES = {"disk full": "No space left on device", "disk read-only": "Read-only file system"}


def why_not() -> str:
    """Why no file system can be mounted here; empty if one can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root, to mount a small tmpfs"
    done = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    return f"no tmpfs can be mounted: {done.stderr.strip()}" if done.returncode else ""


def fill_in_stages(bench: Bench, stages: Sequence[str] = copies.STAGES) -> Iterator[Outcome]:
    """Run each stage alone on a full disk, on a read-only one, and when there is room again."""
    with _disk(bench, "small-disk") as folder:
        shutil.copytree(bench.done, folder, symlinks=True, dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("cache", ".git"))  # fmt: skip
        _mount(folder, f"remount,size={96 * MIB}")
        for stage in stages:
            yield from _fill_in(bench, folder, stage)


def _fill_in(bench: Bench, folder: Path, stage: str) -> Iterator[Outcome]:
    mine = copies.file_bytes(folder, copies.outputs_of(stage))
    others = [p for s in copies.STAGES if s != stage for p in copies.outputs_of(s)]
    # What DVC does before a stage, too: its outputs are gone, and what was before it is there.
    run(folder, "rm", "-r", "-f", *copies.outputs_of(stage), ".dvc/tmp/cardproof")
    found = [_fault(bench, folder, stage, fault, others) for fault in CAUSES]
    code, text = run_stage(folder, stage)
    same = not code and copies.file_bytes(folder, copies.outputs_of(stage)) == mine
    for fault, wrong, message in found:
        lost = wrong or f"other bytes with room again: {last_error(text)}" * (not same)
        again = f"{stage}, run again with room: the same bytes"
        yield Outcome(fault, stage, not lost, lost or again, message)


def _fault(
    bench: Bench, folder: Path, stage: str, fault: str, others: list[str]
) -> tuple[str, str, str]:
    """The fault, what was wrong with how a stage met it (or nothing), and what the stage said."""
    before = copies.file_bytes(folder, others)
    filler = folder / "filler"
    if fault == "disk full":
        _fill(filler, left=_bytes_of_a_half(bench, stage))
    else:
        _mount(folder, "remount,ro")
    code, text = run_stage(folder, stage, PYTHONPYCACHEPREFIX=str(bench.scratch / "bytecode"))
    if fault == "disk full":
        filler.unlink()
    else:
        _mount(folder, "remount,rw")
    message = last_error(text)
    troubles = {
        "it ended well": code == 0,
        "a traceback": "Traceback" in text,
        "the cause is not named": CAUSES[fault] not in message,
        "no path is named": "/" not in message,
        "another stage's outputs changed": copies.file_bytes(folder, others) != before,
        "something half-written was left": bool(list(folder.glob("**/.*.new"))),
    }
    return fault, "; ".join(trouble for trouble, true in troubles.items() if true), message


def _bytes_of_a_half(bench: Bench, stage: str) -> int:
    """Half of what a stage writes."""
    return sum(map(len, copies.file_bytes(bench.done, copies.outputs_of(stage)).values())) // 2


def fill_under_dvc(bench: Bench) -> Iterator[Outcome]:
    """`dvc repro` from nothing on disks too small for it, then with room."""
    need = _bytes_below(bench.done)
    bytecode = {"PYTHONPYCACHEPREFIX": str(bench.scratch / "bytecode")}
    for share in (0.4, 0.7, 0.95):
        with _disk(bench, f"disk-{share}") as folder:
            bench.fresh(folder.name)
            _mount(folder, f"remount,size={max(int(need * share), _bytes_below(folder))}")
            code, text = run(folder, "dvc", "repro", **bytecode)
            where = text.rpartition("Running stage '")[2].partition("'")[0] or "DVC itself"
            before = copies.output_checksums(folder)
            _mount(folder, f"remount,size={need * 4}")
            wrong, more = bench.repeat(folder)
            again = ", ".join(re.findall(r"Running stage '(\w+)'", more))
            changed = [p for p, s in before.items() if bench.checksums.get(p) != s]
        troubles = {
            "it ended well": code == 0,
            "a traceback": "Traceback" in text,
            wrong: bool(wrong),
            f"changed: {changed}": bool(changed),
        }
        lost = "; ".join(trouble for trouble, true in troubles.items() if true)
        yield Outcome("disk full under `dvc repro`", where, not lost,
                      lost or f"{again}, run again with room", last_error(text))  # fmt: skip


@contextmanager
def _disk(bench: Bench, name: str) -> Iterator[Path]:
    """An empty folder on a file system of its own, large enough for a copy of the repository."""
    place = bench.scratch / name
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def _mount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", options, str(place)], check=True)


def _fill(filler: Path, left: int) -> None:
    """Write until no byte more fits but `left`: a stage is then cut off in the middle."""
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(filler, max(0, filler.stat().st_size - left))


def _bytes_below(folder: Path) -> int:
    """What the files in a folder take, in blocks."""
    return sum(p.lstat().st_blocks * 512 for p in folder.rglob("*"))
