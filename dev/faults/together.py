"""Runs at the same time, and the same run again: in a copy, in the queue, with other threads."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cardproof.files import CHECKSUMS
from cardproof.recipe.environment import MIRROR_VARIABLE
from dev.faults import copies
from dev.faults.copies import Bench, Outcome, Running, last_error, run, run_stage

SEEDS = ("1", "2", "3", "4")
REAL = {"card": "grojeda", "model": {"base": "minilm"}, "tokenize": {"max_length": 48},
        "data": {"limit": 120, "test_limit": 60}, "train": {"max_steps": 4}}  # fmt: skip
# What names the number of threads on purpose.
THREADS = {f"{folder}/{file}" for folder, of_one in
           (("model", "training.json"), ("data/predictions", "evaluation.json"))
           for file in (of_one, CHECKSUMS)}  # fmt: skip
WITH_WORKERS = """
from cardproof.model.loading import import_transformers
import_transformers()
from transformers import TrainingArguments
finish = TrainingArguments.__post_init__
def with_workers(self):
    self.dataloader_num_workers = 2
    finish(self)
TrainingArguments.__post_init__ = with_workers
from stages.train import main
main()
"""


def two_at_once(bench: Bench) -> Iterator[Outcome]:
    """A second `dvc repro` while the first one trains."""
    folder = bench.fresh("two-at-once")
    first = Running(folder, "dvc", "repro")
    first.wait_for(lambda: first.find_stage("train") is not None)
    code, said = run(folder, "dvc", "repro")
    first.end()
    wrong = bench.differing(copies.output_checksums(folder)) or first.process.returncode
    refused = code != 0 and "is busy" in said and "Traceback" not in said
    lost = f"{wrong} {said[-300:]}" if wrong or not refused else "nothing; the second is refused"
    fault = "a second `dvc repro` at the same time"
    yield Outcome(fault, "train", refused and not wrong, lost, last_error(said))


def queue_of_two(bench: Bench) -> Iterator[Outcome]:
    """Four experiments in a queue with two workers, and each of them alone."""
    folder = bench.fresh("queue")
    run(folder, "dvc", "exp", "run", "--queue", "-S", f"train.seed={','.join(SEEDS)}")
    status = _finish_queue(folder, "-j", "2")
    together = sorted(
        sorted(found.items()) for found in copies.experiment_checksums(folder).values()
    )
    alone_in, alone = bench.fresh("alone"), []
    for seed in SEEDS:
        run(alone_in, "dvc", "exp", "run", "-S", f"train.seed={seed}")
        alone.append(sorted(copies.output_checksums(alone_in).items()))
    survived = together == sorted(alone) and status.count("Success") == len(SEEDS)
    lost = "nothing" if survived else f"{len(together)} of {len(SEEDS)} done; {status[-400:]}"
    fault = "`dvc queue start -j 2`, 4 experiments"
    yield Outcome(fault, "each equal to its run alone", survived, lost)


def _finish_queue(folder: Path, *options: str, **extra: str) -> str:
    """Start a queue's workers, wait for the last experiment, end them; the queue's status."""
    status = ""

    def idle() -> bool:
        nonlocal status
        _, status = run(folder, "dvc", "queue", "status")
        return "Queued" not in status and "Running" not in status

    run(folder, "dvc", "queue", "start", *options, **extra)
    copies.wait_until(idle, 5.0)  # DVC takes a second to say how its queue does
    copies.kill_all_in(folder)
    return status


def again_elsewhere(bench: Bench) -> Iterator[Outcome]:
    """The same commit in another folder, by --temp and by the queue; of the sample and for real."""
    kinds: list[tuple[str, dict[str, Any], dict[str, str]]] = [("sample", {}, {})]
    if mirror := os.environ.get(MIRROR_VARIABLE):
        kinds.append(("real reviews", REAL, {MIRROR_VARIABLE: str(Path(mirror).absolute())}))
    for name, changes, extra in kinds:
        expected = bench.checksums
        if changes:
            here = bench.fresh(f"again-{name[:4]}-here", changes)
            run(here, "dvc", "repro", **extra)
            expected = copies.output_checksums(here)
        for way in ("--temp", "--queue"):
            folder = bench.fresh(f"again-{name[:4]}{way}", changes)
            _, text = run(folder, "dvc", "exp", "run", way, **extra)
            if way == "--queue":
                text += _finish_queue(folder, **extra)
            found = list(copies.experiment_checksums(folder).values())
            same = bool(expected) and found == [expected]
            lost = "nothing: the same bytes" if same else f"{len(found)} experiments; {text[-300:]}"
            yield Outcome(f"the same run by `dvc exp run {way}`", name, same, lost)


def other_threads(bench: Bench) -> Iterator[Outcome]:
    """Other numbers of threads, and processes that load the data: what may not change a byte.

    Training sums in another order with other threads, so that it is asked to repeat with the same.
    """
    folder = bench.copy_done("threads")

    def with_threads(stage: str, threads: str) -> dict[str, bytes]:
        named = {"OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads}
        return _bytes_after(folder, stage, lambda: run_stage(folder, stage, **named))

    for stage in ("split", "tokenize", "evaluate"):
        written = [with_threads(stage, n) for n in "123"]
        yield compare("1, 2 and 3 threads", stage, written)
    yield compare("3 threads, twice", "train", [with_threads("train", n) for n in "33"])
    plain = _bytes_after(folder, "train", lambda: run_stage(folder, "train"))
    loaded = _bytes_after(folder, "train", lambda: run(folder, sys.executable, "-c", WITH_WORKERS))
    yield compare("2 data workers instead of none", "train", [plain, loaded])


def _bytes_after(folder: Path, stage: str, work: Callable[[], tuple[int, str]]) -> dict[str, bytes]:
    """What a command writes as a stage's outputs; nothing if it fails."""
    run(folder, "rm", "-r", "-f", *copies.outputs_of(stage))
    code, _ = work()
    found = copies.file_bytes(folder, copies.outputs_of(stage)) if code == 0 else {}
    return {path: content for path, content in found.items() if path not in THREADS}


def compare(fault: str, stage: str, written: list[dict[str, bytes]]) -> Outcome:
    """Survived if files, by path, are there and are the same each time."""
    paths = {path for found in written for path in found}
    changed = sorted(p for p in paths if len({found.get(p) for found in written}) > 1)
    lost = f"other bytes in {', '.join(changed)}" if changed else "nothing: the same bytes"
    return Outcome(fault, stage, all(written) and not changed, lost if paths else "no outputs")
