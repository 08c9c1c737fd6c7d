"""Bits flipped in files on the disk: each must be named and made again, never used."""

import json
import os
import random
import re
import shutil
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from cardproof.files import CHECKSUMS
from dev.faults import copies
from dev.faults.copies import (
    Bench,
    Outcome,
    Running,
    checkpoints,
    last_error,
    resumed_from,
    run,
    run_stage,
)

# A file of each folder that stages hand on, and a stage that reads it.
READ = {
    "data/reviews/test.parquet": "split",
    "data/base/model.safetensors": "train",
    "data/split/train.parquet": "tokenize",
    "data/tokens/train/ids.npy": "train",
    f"data/tokens/{CHECKSUMS}": "train",
    "data/predictions/test.parquet": "report",
    "model/model.safetensors": "evaluate",
}
# Outputs, and a file of each; of the last, no stage reads anything.
CACHED = {"data/tokens": "train/ids.npy", "model": "model.safetensors", "report": "index.html"}


def flip(path: Path, chance: random.Random) -> None:
    """Flip one bit somewhere in a file, with its times as they were: so a disk would do it."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(stat.st_mode)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def damage_workspace(bench: Bench, repaired: Container[str] = READ) -> Iterator[Outcome]:
    """Flip a bit in what a stage reads, which it must refuse.

    For the files in `repaired` the command that it names is run, and must fix it.
    """
    folder = bench.copy_done("damaged")
    for name, stage in READ.items():
        path = folder / name
        kept = shutil.copy2(path, bench.scratch / "kept")
        flip(path, bench.chance)
        code, text = run_stage(folder, stage)
        advice = re.findall(r"`dvc repro -f -s (\w+)`", text)
        # A bit in a checksum makes the file look damaged that it is of: one of the same folder.
        named = str(Path(name).parent) if path.name == CHECKSUMS else name
        told = code == 1 and named in text and "Traceback" not in text and bool(advice)
        lost = "not tried" if told else f"not refused: {text[-300:]}"
        if name in repaired and told:
            code, more = run(folder, "dvc", "repro", "-f", "-s", advice[0])
            wrong, _ = bench.repeat(folder)
            verified, report = run(folder, *copies.VERIFY)
            told = not (code or wrong or verified)
            lost = f"{advice[0]}, run again" if told else f"{wrong} {(more + report)[-400:]}"
        else:
            shutil.copy2(kept, path)
        yield Outcome("a bit flipped, times kept", name, told, lost, last_error(text))


def damage_cache(bench: Bench, outs: Iterable[str] = CACHED) -> Iterator[Outcome]:
    """Flip a bit in objects of DVC's cache whose copies in the workspace are gone."""
    for out in outs:
        name = f"{out}/{CACHED[out]}"
        folder = bench.copy_done(f"cache-{out.replace('/', '-')}")
        damaged = _object_of(folder, out, CACHED[out])
        flip(damaged, bench.chance)
        shutil.rmtree(folder / out)
        run(folder, "dvc", "checkout", out)
        found, text = run(folder, *copies.VERIFY)
        told = found == 1 and damaged.name in text and name in text
        run(folder, *copies.VERIFY, "--remove")
        wrong, more = bench.repeat(folder)
        verified, report = run(folder, *copies.VERIFY)
        survived = told and not wrong and not verified
        again = ", ".join(re.findall(r"Running stage '(\w+)'", more))
        lost = f"{again}, run again" if survived else f"{wrong} {(text + report)[-400:]}"
        said = next((line for line in text.splitlines() if damaged.name in line), "")
        yield Outcome("a bit flipped in DVC's cache", name, survived, lost, said)


def _object_of(folder: Path, out: str, name: str) -> Path:
    """The object of DVC's cache that holds a file of an output folder."""
    cache = folder / ".dvc/cache/files/md5"
    listed = copies.output_checksums(folder)[out]
    entries = json.loads((cache / listed[:2] / listed[2:]).read_text(encoding="utf-8"))
    md5: str = next(entry["md5"] for entry in entries if entry["relpath"] == name)
    return cache / md5[:2] / md5[2:]


def damage_checkpoint(bench: Bench) -> Iterator[Outcome]:
    """Truncate the newest checkpoint of a killed run."""
    folder = bench.fresh("damaged-checkpoint")
    running = Running(folder, "dvc", "repro")
    running.wait_for(lambda: len(checkpoints(folder)) > 1)
    copies.kill_all_in(folder)
    running.end()
    # The kill may have left one more, half saved.
    newest = [saved for saved in checkpoints(folder) if (saved / CHECKSUMS).is_file()][-1]
    os.truncate(newest / "optimizer.pt", 1000)
    wrong, text = bench.repeat(folder)
    refused = f"{newest.name} cannot be used: optimizer.pt"
    said = next((line for line in text.splitlines() if refused in line), "")
    survived = not wrong and bool(said)
    lost = wrong or resumed_from(text) or "all steps until then"
    yield Outcome("a truncated checkpoint", newest.name, survived, lost, said)


def damage_records(bench: Bench) -> Iterator[Outcome]:
    """DVC's own records as a kill may leave them: with a lock of a dead process, or empty."""
    folder = bench.copy_done("damaged-records")
    dead = {"pid": 2**22 + 1, "cmd": "dvc repro"}  # no process has so high a number
    locked = json.dumps({"write": {str(folder / "model"): dead}, "read": {}})
    for fault, name, text in (
        ("a lock of a dead process", ".dvc/tmp/rwlock", locked),
        ("emptied by a kill", ".dvc/tmp/rwlock", ""),
        ("emptied by a kill", "dvc.lock", ""),
    ):
        (folder / name).write_text(text)
        code, said = run(folder, "dvc", "repro", "-f", "-s", "split")
        by = "DVC"
        if code:
            run(folder, *copies.VERIFY, "--remove")
            by = "`cardproof verify --remove`"
        left = (folder / name).is_file() and (folder / name).read_text() == text
        wrong, more = bench.repeat(folder)
        wrong = wrong or f"{by} left the record as it was" * left
        again = ", ".join(re.findall(r"Running stage '(\w+)'", more))
        lost = f"the record, removed by {by}; {f'{again}, run again' if again else 'no stage'}"
        message = (last_error(said) or " ".join(said.split())[:200]) if code else ""
        yield Outcome(fault, name, not wrong, wrong or lost, message)
