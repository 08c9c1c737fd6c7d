"""Bits flipped in what lies on the disk: each must be named and made again, never used."""

import json
import os
import random
import re
import shutil
from collections.abc import Container, Sequence
from pathlib import Path

from dev.faults.bench import (
    VERIFY,
    Bench,
    Outcome,
    Running,
    checkpoints,
    going_on,
    kill_all_in,
    last_error,
    output_sums,
    run,
    run_stage,
)

# A file of each folder that stages hand on, and a stage that reads it.
READ = {
    "data/reviews/test.parquet": "split",
    "data/base/model.safetensors": "train",
    "data/split/train.parquet": "tokenize",
    "data/tokens/train/ids.npy": "train",
    "data/tokens/sums.json": "train",
    "data/predictions/test.parquet": "report",
    "model/model.safetensors": "evaluate",
}
# Of the last, no stage reads anything.
CACHED = ("data/tokens/train/ids.npy", "model/model.safetensors", "report/index.html")


def flip(path: Path, chance: random.Random) -> None:
    """Flip one bit somewhere in a file, with its times as they were: so a disk would do it."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(stat.st_mode)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def damage_workspace(bench: Bench, seed: int, repaired: Container[str] = READ) -> list[Outcome]:
    """Flip a bit in what a stage reads, which it must refuse.

    For the files in `repaired` the command that it names is run, and must mend it.
    """
    chance, outcomes = random.Random(seed), []
    folder = bench.copy_done("damaged")
    for name, stage in READ.items():
        path = folder / name
        whole, times = path.read_bytes(), path.stat()
        flip(path, chance)
        bench.say(f"  a bit in {name}, read by {stage}")
        code, text = run_stage(folder, stage)
        told = code == 1 and path.relative_to(folder).as_posix() in text
        told &= "Traceback" not in text and "dvc repro -f -s" in text
        lost = "what was damaged, made again" if told else f"not refused: {text[-300:]}"
        if name in repaired and told:
            told, lost = _repair(bench, folder, text)
        else:
            path.write_bytes(whole)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        outcomes.append(Outcome("a bit flipped, times kept", name, told, lost, last_error(text)))
    return outcomes


def _repair(bench: Bench, folder: Path, said: str) -> tuple[bool, str]:
    """Do what the message says."""
    advised = re.findall(r"`dvc repro -f -s (\w+)`", said)[0]
    code, text = run(folder, "dvc", "repro", "-f", "-s", advised)
    again, more = run(folder, "dvc", "repro")
    wrong = bench.differing(output_sums(folder))
    verified, report = run(folder, *VERIFY)
    if code or again or wrong or verified:
        return (
            False,
            f"`dvc repro -f -s {advised}` did not mend it: {wrong} {(text + more + report)[-400:]}",
        )
    return True, f"the work of {advised}, done again"


def damage_cache(bench: Bench, seed: int, names: Sequence[str] = CACHED) -> list[Outcome]:
    """Flip a bit in objects of DVC's cache whose copies in the workspace are gone."""
    chance, outcomes = random.Random(seed), []
    for name in names:
        folder = bench.copy_done(f"cache-{name.replace('/', '-')}")
        out = name.rpartition("/train/")[0] or name.partition("/")[0]
        damaged = _object_of(folder, out, name.removeprefix(f"{out}/"))
        flip(damaged, chance)
        shutil.rmtree(folder / out)
        bench.say(f"  a bit in DVC's cache, of {name}")
        run(folder, "dvc", "checkout", out)
        found, text = run(folder, *VERIFY)
        told = found == 1 and damaged.name in text and name in text
        run(folder, *VERIFY, "--remove")
        code, more = run(folder, "dvc", "repro")
        wrong = bench.differing(output_sums(folder))
        verified, report = run(folder, *VERIFY)
        survived = told and not (code or wrong or verified)
        lost = f"{out}, made again" if survived else f"{wrong} {(text + more + report)[-400:]}"
        said = next((line for line in text.splitlines() if damaged.name in line), "")
        outcomes.append(Outcome("a bit flipped in DVC's cache", name, survived, lost, said))
    return outcomes


def _object_of(folder: Path, out: str, name: str) -> Path:
    """The object of DVC's cache that holds a file of an output folder."""
    cache = folder / ".dvc/cache/files/md5"
    listed = output_sums(folder)[out]
    entries = json.loads((cache / listed[:2] / listed[2:]).read_text(encoding="utf-8"))
    md5: str = next(entry["md5"] for entry in entries if entry["relpath"] == name)
    return cache / md5[:2] / md5[2:]


def damage_checkpoint(bench: Bench) -> list[Outcome]:
    """Truncate the newest checkpoint of a killed run."""
    folder = bench.fresh("damaged-checkpoint")
    running = Running(folder, "dvc", "repro")
    running.wait_for(lambda: len(checkpoints(folder)) > 1)
    kill_all_in(folder)
    running.end()
    newest = max(checkpoints(folder), key=lambda p: int(p.name.partition("-")[2]))
    os.truncate(newest / "optimizer.pt", 1000)
    code, text = run(folder, "dvc", "repro")
    wrong = bench.differing(output_sums(folder))
    survived = not (code or wrong) and f"{newest.name} cannot be used: optimizer.pt" in text
    lost = going_on(text) or "all steps until then"
    said = next((line for line in text.splitlines() if "cannot be used" in line), "")
    return [Outcome("a truncated checkpoint", newest.name, survived, lost, said)]


def damage_records(bench: Bench) -> list[Outcome]:
    """DVC's own records as a kill may leave them: with a lock of a dead process, or empty."""
    folder = bench.copy_done("damaged-records")
    dead = {"pid": 2**22 + 1, "cmd": "dvc repro"}  # no process has so high a number
    locked = json.dumps({"write": {str(folder / "model"): dead}, "read": {}})
    outcomes = []
    for fault, name, text in (
        ("a lock of a dead process", ".dvc/tmp/rwlock", locked),
        ("emptied by a kill", ".dvc/tmp/rwlock", ""),
        ("emptied by a kill", "dvc.lock", ""),
    ):
        bench.say(f"  {name}: {fault}")
        (folder / name).write_text(text)
        code, said = run(folder, "dvc", "repro", "-f", "-s", "check")
        more = said
        lost = "nothing: DVC removes it"
        if code:
            run(folder, *VERIFY, "--remove")
            code, more = run(folder, "dvc", "repro")
            lost = "nothing, once `cardproof verify --remove` has removed it"
        wrong = bench.differing(output_sums(folder))
        if code or wrong:
            lost = f"{', '.join(wrong)}; {last_error(more)}"
        message = last_error(said) or " ".join(said.split())[:200]
        outcomes.append(
            Outcome(fault, name, not (code or wrong), lost, message if text == "" else "")
        )
    return outcomes
