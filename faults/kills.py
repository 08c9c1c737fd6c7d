"""Processes killed at random moments, interrupted, and taken up again."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.bench import (
    Bench,
    Outcome,
    Running,
    checkpoints,
    experiment_sums,
    going_on,
    kill_all_in,
    kill_tree,
    last_error,
    output_sums,
    run,
)

STAGE, WITH_DVC = "kill -9 of a stage", "kill -9 of DVC and the stage"
COMMIT = 1.0  # seconds after a stage in which DVC hashes and keeps its outputs
# Training has most to lose, so it is killed twice. A short chain is the end of this one.
CHAIN = ("check", "download", "split", "tokenize", "train", "train", "evaluate", "report")


def kill_stages(bench: Bench, kills: int, seed: int) -> list[Outcome]:
    """Kill `kills` times, in chains: each chain is one run, killed in one stage after another.

    After each kill comes the next `dvc repro`, which is killed in turn; the last of a chain is
    left alone, and must end with the bytes of an undisturbed run.
    """
    chance = random.Random(seed)
    outcomes: list[Outcome] = []
    while len(outcomes) < kills:
        number = len(outcomes)
        folder = bench.fresh(f"chain-{number}")
        killed = list(_killed_in_turn(bench, folder, CHAIN[number - kills :], chance))
        code, text = run(folder, "dvc", "repro")
        wrong = bench.differing(output_sums(folder))
        outcomes += [_judge(*kill, code, wrong, text) for kill in killed]
    return outcomes


Kill = tuple[str, str, float, str]  # how, stage, seconds into it, trouble before the last run


def _killed_in_turn(
    bench: Bench, folder: Path, stages: tuple[str, ...], chance: random.Random
) -> Iterator[Kill]:
    """Start `dvc repro` and kill it, once a stage; a stage that was quicker is not counted."""
    for stage in stages:
        how = chance.choice((STAGE, STAGE, WITH_DVC))
        length = bench.seconds[stage] + (COMMIT if how == WITH_DVC else 0)
        moment = chance.uniform(0, length)
        before = output_sums(folder)
        running = Running(folder, "dvc", "repro")
        if not running.wait_for(lambda s=stage, r=running: r.find_stage(s) is not None):  # type: ignore[misc]
            bench.say(f"  {stage}: done before it could be killed again")
            continue
        time.sleep(moment)
        process = running.find_stage(stage)
        if how == WITH_DVC:
            running.send(signal.SIGKILL)
        elif process:
            kill_tree(process)
        else:
            running.send(signal.SIGKILL)  # the stage was quicker: kill what follows it instead
            how = WITH_DVC
        text = running.end()
        changed = [p for p, s in before.items() if output_sums(folder).get(p) != s]
        trouble = f"changed {', '.join(changed)}" if changed else ""
        if "Traceback" in text:
            trouble = "a traceback"
        bench.say(f"  {how} {stage}, {moment:.1f} s after its start")
        yield how, stage, moment, trouble


def _judge(
    how: str, stage: str, moment: float, trouble: str, code: int, wrong: list[str], text: str
) -> Outcome:
    lost = "the stage's work until then, which was done again"
    if stage == "train":
        lost = going_on(text) or "the steps before the first checkpoint"
    if code or wrong or trouble:
        lost = trouble or f"other bytes: {', '.join(wrong)} {last_error(text)}"
    return Outcome(how, f"{stage}, {moment:.1f} s", not (code or wrong or trouble), lost)


def interrupt(bench: Bench) -> list[Outcome]:
    """Ctrl-C during training through `dvc repro`."""
    folder = bench.fresh("interrupted")
    running = Running(folder, "dvc", "repro")
    running.wait_for(lambda: bool(checkpoints(folder)))
    running.send(signal.SIGINT)
    said = running.end()
    code, text = run(folder, "dvc", "repro")
    wrong = bench.differing(output_sums(folder))
    told = "`dvc repro` goes on from there" in said and "Traceback" not in said
    survived = told and not wrong and code == 0 and bool(going_on(text))
    return [Outcome("Ctrl-C", "train", survived, going_on(text) or text[-300:], last_error(said))]


def kill_copies(bench: Bench) -> list[Outcome]:
    """Kill a run in `dvc exp run --temp`, and a queue's worker with its run; take each up again."""
    return [_kill_temporary(bench), _kill_worker(bench)]


def _kill_temporary(bench: Bench) -> Outcome:
    folder = bench.fresh("temporary-killed")
    running = Running(folder, "dvc", "exp", "run", "--temp")
    running.wait_for(lambda: bool(checkpoints(folder)))
    running.send(signal.SIGKILL)
    running.end()
    kill_all_in(folder)
    _, text = run(folder, "dvc", "exp", "run", "--temp")
    return _judge_experiments(bench, folder, "kill -9 in `dvc exp run --temp`", text)


def _kill_worker(bench: Bench) -> Outcome:
    folder = bench.fresh("worker-killed")
    run(folder, "dvc", "exp", "run", "--queue")
    run(folder, "dvc", "queue", "start")
    wait_until(lambda: bool(checkpoints(folder)))
    kill_all_in(folder)
    run(folder, "dvc", "exp", "run", "--queue")
    run(folder, "dvc", "queue", "start")
    wait_until(lambda: bool(experiment_sums(folder)))
    logs = folder.glob(".dvc/tmp/exps/run/*/*.out")
    text = "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)
    kill_all_in(folder)
    return _judge_experiments(bench, folder, "kill -9 of a queue's worker and its run", text)


def _judge_experiments(bench: Bench, folder: Path, fault: str, text: str) -> Outcome:
    found = experiment_sums(folder)
    wrong = [path for sums in found.values() for path in bench.differing(sums)]
    survived = len(found) == 1 and not wrong and bool(going_on(text))
    lost = going_on(text) or f"{len(found)} experiments, other: {wrong}; {last_error(text)}"
    return Outcome(fault, "train", survived, lost)


def wait_until(there: Callable[[], bool]) -> None:
    """Wait until a callable returns true.

    Raises:
        TimeoutError: it did not within ten minutes.
    """
    deadline = time.monotonic() + 600
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError("waited 600 s")
        time.sleep(0.1)
