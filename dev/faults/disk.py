"""A disk that is full, or that cannot be written: a tmpfs with a copy of the repository on it."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dev.faults.bench import (
    Bench,
    Outcome,
    file_bytes,
    last_error,
    output_sums,
    outputs_of,
    run,
    run_stage,
)

MIB = 2**20
FULL, READ_ONLY = "disk full", "disk read-only"


def why_not() -> str:
    """Why no file system can be mounted here; empty if one can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root, to mount a small tmpfs"
    done = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    return f"no tmpfs can be mounted: {done.stderr.strip()}" if done.returncode else ""


def fill_in_stages(bench: Bench, stages: Sequence[str]) -> list[Outcome]:
    """Run each stage alone on a full disk, on a read-only one, and when there is room again."""
    with _disk(bench, "small-disk", MIB * 96) as folder:
        done = file_bytes(folder, [p for s in bench.seconds for p in outputs_of(s)])
        return [o for stage in stages for o in _fill_in(bench, folder, stage, done)]


def _fill_in(bench: Bench, folder: Path, stage: str, done: dict[str, bytes]) -> Iterator[Outcome]:
    bench.say(f"  {stage} on a full disk, then on a read-only one")
    # What DVC does before a stage, too: its outputs are gone, and what was before it is there.
    for path in outputs_of(stage):
        run(folder, "rm", "-r", "-f", path)
    run(folder, "rm", "-r", "-f", ".dvc/tmp/cardproof")  # evaluate would make room by removing it
    others = _all_but(done, outputs_of(stage))
    filler = folder / "filler"
    for fault in (FULL, READ_ONLY):
        if fault == FULL:
            _fill(filler, sum(len(done[p]) for p in done if p not in others) // 2)
        else:
            _mount(folder, "remount,ro")
        said = _run_on(folder, bench.scratch / "bytecode", stage)
        if fault == FULL:
            filler.unlink()
        else:
            _mount(folder, "remount,rw")
        troubles = _troubles(said, others, folder)
        yield Outcome(fault, stage, not troubles, "; ".join(troubles) or "nothing", said[1])
    code, text = run_stage(folder, stage)
    if code or file_bytes(folder, list(done)) != done:
        yield Outcome(FULL, stage, False, f"did not go on once there was room: {text[-300:]}")


def _run_on(folder: Path, bytecode: Path, stage: str) -> tuple[int, str, str]:
    """Exit code, error message and all that was printed; the log itself needs a place to be."""
    done = subprocess.run(
        ["python", "-m", f"stages.{stage}"],
        cwd=folder, env=_environment(bytecode), check=False, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    return done.returncode, last_error(done.stderr), done.stdout + done.stderr


def _environment(bytecode: Path) -> dict[str, str]:
    from dev.faults.bench import environment

    return environment({"PYTHONPYCACHEPREFIX": str(bytecode)})


def _troubles(said: tuple[int, str, str], others: dict[str, bytes], folder: Path) -> list[str]:
    code, message, text = said
    words = ("No space left on device", "Read-only file system")
    troubles = {
        "it ended well": code == 0,
        "a traceback": "Traceback" in text,
        "the cause is not named": not any(word in message for word in words),
        "no path is named": str(folder) not in message and "/" not in message,
        "another stage's outputs changed": file_bytes(folder, list(others)) != others,
        "something half-written was left": bool(list(folder.glob("**/.*.new"))),
    }
    return [trouble for trouble, true in troubles.items() if true]


def fill_under_dvc(bench: Bench) -> list[Outcome]:
    """`dvc repro` from nothing on disks too small for it, then with room."""
    outcomes = []
    need = _bytes_below(bench.done)
    for share in (0.4, 0.7, 0.95):
        bench.say(f"  dvc repro on a disk of {share:.0%} of what it needs")
        with _disk(bench, f"disk-{share}", int(need * share), empty=True) as folder:
            code, text = _repro(bench, folder)
            where = text.rpartition("Running stage '")[2].partition("'")[0] or "DVC itself"
            before = output_sums(folder)
            _mount(folder, f"remount,size={need * 4}")
            again, more = _repro(bench, folder)
            wrong = bench.differing(output_sums(folder))
            changed = [p for p, s in before.items() if bench.sums.get(p) != s]
        troubles = ["it ended well"] * (code == 0) + ["a traceback"] * ("Traceback" in text)
        troubles += [f"other bytes: {', '.join(wrong)}"] * bool(wrong or again)
        troubles += [f"changed: {', '.join(changed)}"] * bool(changed)
        lost = "; ".join(troubles) or f"the stage {where}, run again"
        outcomes.append(
            Outcome("disk full under `dvc repro`", where, not troubles, lost, last_error(text))
        )
        if again:
            bench.say(more[-2000:])
    return outcomes


def _repro(bench: Bench, folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        ["dvc", "repro"],
        cwd=folder, env=_environment(bench.scratch / "bytecode"), check=False, capture_output=True,
        text=True, timeout=600,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@contextmanager
def _disk(bench: Bench, name: str, size: int, *, empty: bool = False) -> Iterator[Path]:
    """A copy of the repository on a file system of its own, in which nothing or all has run."""
    place = bench.scratch / name
    place.mkdir()
    # Room for the copy itself; what it may grow to is set once it is there.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(place)], check=True)
    try:
        if empty:
            bench.fresh(name)
        else:
            run(bench.scratch, "cp", "-r", f"{bench.done}/.", str(place))
            run(place, "rm", "-r", "-f", ".dvc/cache", ".git")
        _mount(place, f"remount,size={max(size, _bytes_below(place))}")
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


def _all_but(done: dict[str, bytes], paths: Sequence[str]) -> dict[str, bytes]:
    skipped = tuple(f"{path}/" for path in paths)
    return {
        path: content
        for path, content in done.items()
        if path not in paths and not path.startswith(skipped)
    }
