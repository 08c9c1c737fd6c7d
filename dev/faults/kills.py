"""Processes killed at random moments, interrupted, and taken up again."""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cardproof.cli.verify import cut_off_records
from dev.faults.bench import (
    VERIFY,
    Bench,
    Outcome,
    Running,
    Sums,
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
# Training has most to lose, so it is killed twice more once it saves. A short chain is the end of
# this one.
SAVING = "train, saving"
CHAIN = ("check", "download", "split", "tokenize", "train", SAVING, SAVING, "evaluate", "report")


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
        tried = [_kill(bench, folder, target, chance) for target in CHAIN[number - kills :]]
        killed = [outcome for outcome in tried if outcome]
        code, text = run(folder, "dvc", "repro")
        wrong = bench.differing(output_sums(folder))
        if code or wrong:
            lost = f"in the end other bytes: {', '.join(wrong)} {last_error(text)}"
            killed = [replace(outcome, survived=False, lost=lost) for outcome in killed]
        outcomes += killed
    return outcomes


def _kill(bench: Bench, folder: Path, target: str, chance: random.Random) -> Outcome | None:
    """Start `dvc repro` and kill it in a stage; None if the stage was done before.

    DVC killed in the middle of writing its own records refuses to run until they are removed.
    """
    stage = target.partition(",")[0]
    how = chance.choice((STAGE, STAGE, WITH_DVC))
    length = bench.training_seconds() if target == SAVING else bench.seconds[stage]
    moment = chance.uniform(0, length + (COMMIT if how == WITH_DVC else 0))
    before, step = output_sums(folder), _last_step(folder) if target == SAVING else -1
    running = Running(folder, "dvc", "repro")
    if not running.wait_for(lambda: bool(running.find_stage(stage)) and _last_step(folder) > step):
        bench.say(f"  {target}: done before it could be killed again")
        return None
    time.sleep(moment)
    process = running.find_stage(stage)
    if how == STAGE and process:
        kill_tree(process)
    else:  # also where the stage was quicker: DVC then keeps its outputs, or begins the next
        how = WITH_DVC
        running.send(signal.SIGKILL)
    text = running.end()
    trouble = _trouble(before, output_sums(folder), text)
    lost = "the stage's work until then"
    if stage == "train":
        lost = f"the steps after {_last_step(folder)}"
    if cut := [damage.path.name for damage in cut_off_records(folder)]:
        run(folder, *VERIFY, "--remove")
        lost = (
            f"{' and '.join(cut)}, cut off and removed by cardproof.cli.verify; the rest was cached"
        )
    bench.say(f"  {how} {target}, after {moment:.1f} s: {trouble or lost}")
    return Outcome(how, f"{target}, {moment:.1f} s", not trouble, trouble or lost, going_on(text))


def _trouble(before: Sums, after: Sums, text: str) -> str:
    """What a kill did that it must not; a record that is cut off comes back."""
    if changed := [path for path, md5 in before.items() if after.get(path, md5) != md5]:
        return f"changed {', '.join(changed)}"
    return "a traceback" if "Traceback" in text else ""


def _last_step(folder: Path) -> int:
    """The step of the newest checkpoint; 0 if there is none."""
    return max((int(p.name.partition("-")[2]) for p in checkpoints(folder)), default=0)


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


def wait_until(there: Callable[[], bool], pause: float = 0.1) -> None:
    """Wait until a callable returns true; it is asked each `pause` seconds.

    Raises:
        TimeoutError: it did not within ten minutes.
    """
    deadline = time.monotonic() + 600
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError("waited 600 s")
        time.sleep(pause)
