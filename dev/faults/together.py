"""Runs at the same time, and the same run again: in the workspace, in a copy, in the queue."""

import sys
from collections.abc import Iterator
from pathlib import Path

from dev.faults.bench import (
    Bench,
    Outcome,
    Running,
    Sums,
    experiment_sums,
    file_bytes,
    kill_all_in,
    last_error,
    output_sums,
    outputs_of,
    run,
    run_stage,
)
from dev.faults.kills import wait_until

SEEDS = (1, 2, 3, 4)
ASK_EVERY = 5.0  # seconds; DVC takes one to say how its queue does
REAL = {"card": "grojeda", "model.base": "minilm", "tokenize.max_length": 48}
REAL |= {"data.limit": 120, "data.test_limit": 60, "train.max_steps": 4}
PATCH = (
    "import sys\nimport cardproof.training.trainer as training\n"
    "plain = training.training_arguments\n"
    "def with_workers(*given):\n    arguments = plain(*given)\n"
    "    arguments.dataloader_num_workers = 2\n    return arguments\n"
    "training.training_arguments = with_workers\n"
    "from cardproof.stage import run_stage\nfrom stages.train import main\n"
    "run_stage('train', '', main)\n"
)


def two_at_once(bench: Bench) -> list[Outcome]:
    """A second `dvc repro` while the first one trains."""
    folder = bench.fresh("two-at-once")
    first = Running(folder, "dvc", "repro")
    first.wait_for(lambda: first.find_stage("train") is not None)
    log = folder.with_suffix(".second")
    log.mkdir()
    second = Running(log, "dvc", "--cd", str(folder), "repro")
    said = second.end()
    first.end()
    wrong = bench.differing(output_sums(folder))
    refused = second.process.returncode != 0 and "is busy" in said and "Traceback" not in said
    survived = refused and not wrong and first.process.returncode == 0
    lost = "nothing; the second is refused" if survived else f"{wrong} {said[-300:]}"
    return [
        Outcome("a second `dvc repro` at the same time", "train", survived, lost, last_error(said))
    ]


def queue_of_two(bench: Bench) -> list[Outcome]:
    """Four experiments in a queue with two workers, and each of them alone."""
    folder = bench.fresh("queue")
    seeds = ",".join(map(str, SEEDS))
    run(folder, "dvc", "exp", "run", "--queue", "-S", f"train.seed={seeds}")
    run(folder, "dvc", "queue", "start", "-j", "2")
    wait_until(lambda: not _busy(folder), ASK_EVERY)
    _, status = run(folder, "dvc", "queue", "status")
    together = sorted(_comparable(s) for s in experiment_sums(folder).values())
    kill_all_in(folder)  # idle workers
    alone_in = bench.fresh("alone")
    alone = []
    for seed in SEEDS:
        bench.say(f"  seed {seed} alone")
        run(alone_in, "dvc", "exp", "run", "-S", f"train.seed={seed}")
        alone.append(_comparable(output_sums(alone_in)))
    survived = together == sorted(alone) and status.count("Success") == len(SEEDS)
    lost = "nothing" if survived else f"{len(together)} of {len(SEEDS)} done; {status[-400:]}"
    return [
        Outcome(
            "`dvc queue start -j 2`, 4 experiments", "each equal to its run alone", survived, lost
        )
    ]


def _busy(folder: Path) -> bool:
    _, status = run(folder, "dvc", "queue", "status")
    return any(word in status for word in ("Queued", "Running"))


def _comparable(sums: Sums) -> list[tuple[str, str]]:
    return sorted(sums.items())


def again_elsewhere(bench: Bench, mirror: Path | None) -> list[Outcome]:
    """The same commit in another folder, by --temp and by the queue; of the sample and for real."""
    kinds: list[tuple[str, dict[str, object], Sums, dict[str, str]]] = [
        ("sample", {}, bench.sums, {})
    ]
    if mirror:
        named = {"CARDPROOF_MIRROR": str(mirror)}
        folder = bench.fresh("real", REAL)
        bench.say("  real reviews, in the workspace")
        code, text = run(folder, "dvc", "repro", **named)
        if code:
            return [Outcome("the same run again", "real reviews", False, text[-300:])]
        kinds.append(("real reviews", REAL, output_sums(folder), named))
    outcomes = []
    for name, changes, sums, named in kinds:
        for way in ("dvc exp run --temp", "dvc exp run --queue"):
            bench.say(f"  {name} by {way}")
            folder = bench.fresh(f"again-{name[:4]}-{way[-5:].strip('-')}", changes)
            _, text = run(folder, *way.split(), **named)
            if way.endswith("queue"):
                run(folder, "dvc", "queue", "start", **named)
                wait_until(lambda folder=folder: not _busy(folder), ASK_EVERY)  # type: ignore[misc]
                kill_all_in(folder)
            found = list(experiment_sums(folder).values())
            same = found == [sums]
            lost = "nothing: the same bytes" if same else f"{len(found)} experiments; {text[-300:]}"
            outcomes.append(Outcome(f"the same run by `{way}`", name, same, lost))
    return outcomes


def other_threads(bench: Bench) -> list[Outcome]:
    """What changes with the number of threads, and with processes that load the data."""
    folder = bench.copy_done("threads")
    done = {s: _written(folder, s) for s in ("split", "tokenize", "train", "evaluate")}
    outcomes = []
    for stage, files in done.items():
        bench.say(f"  {stage} with 1, 2 and 3 threads")
        written = []
        for threads in "123":
            named = {"OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads}
            run_stage(folder, stage, **named, CARDPROOF_SAVE_SECONDS="1000")
            written.append(_written(folder, stage))
        outcomes.append(_measured("1, 2 and 3 threads", stage, written))
        _put_back(folder, files)
    bench.say("  train with 2 processes that load the data")
    run(folder, sys.executable, "-c", PATCH, CARDPROOF_SAVE_SECONDS="1000")
    with_workers = [done["train"], _written(folder, "train")]
    return [*outcomes, _measured("2 data workers instead of none", "train", with_workers)]


def _measured(fault: str, stage: str, written: list[dict[str, bytes]]) -> Outcome:
    changed = sorted({p for other in written[1:] for p in other if other[p] != written[0][p]})
    lost = f"other bytes in {', '.join(changed)}" if changed else "nothing: the same bytes"
    return Outcome(fault, stage, True, lost)


def _written(folder: Path, stage: str) -> dict[str, bytes]:
    """A stage's outputs, but for what names the number of threads on purpose."""
    return dict(_without_notes(file_bytes(folder, outputs_of(stage))))


def _without_notes(found: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    return ((p, b) for p, b in found.items() if p not in ("model/training.json", "model/sums.json"))


def _put_back(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).write_bytes(content)
