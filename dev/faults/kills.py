"""Processes killed at random moments, or interrupted, and run again."""

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil

from cardproof.cli.verify import cut_off_records
from dev.faults import copies
from dev.faults.copies import Bench, Outcome, Running, checkpoints, last_error, resumed_from, run

STAGE, WITH_DVC = "kill -9 of a stage", "kill -9 of DVC and the stage"
# Training has most to lose, so it is killed twice more once it saves. A short chain is the end of
# this one.
SAVING = "train, saving"
CHAIN = (*copies.STAGES[:4], SAVING, SAVING, *copies.STAGES[4:])
# An outcome so far, the outputs that DVC had kept by then, and what was printed.
Kill = tuple[Outcome, copies.Checksums, str]


def kill_stages(bench: Bench, kills: int = 30) -> Iterator[Outcome]:
    """Kill `kills` times, in chains: each chain is one run, killed in one stage after another.

    After each kill comes the next `dvc repro`, which is killed in turn; the last of a chain is
    left alone, and must end with the bytes of an undisturbed run.
    """
    while kills > 0:
        folder = bench.fresh(f"chain-{kills}")
        tried = [_kill(bench, folder, target) for target in CHAIN[-kills:]]
        killed = [kill for kill in tried if kill]
        wrong, text = bench.repeat(folder)
        texts = [*(printed for _, _, printed in killed[1:]), text]
        for (outcome, kept, _), next_text in zip(killed, texts, strict=True):
            yield judge(outcome, kept, next_text, wrong)
        kills -= len(killed)


def _kill(bench: Bench, folder: Path, target: str) -> Kill | None:
    """Start `dvc repro` and kill it in a stage; None if the stage was done before.

    DVC killed in the middle of writing its own records refuses to run until they are removed.
    """
    stage = target.partition(",")[0]
    how = bench.chance.choice((STAGE, STAGE, WITH_DVC))
    timed = json.loads((bench.done / "metrics/train_time.json").read_text(encoding="utf-8"))
    saving = target == SAVING
    # Soon after it saved: most of the training is still to come.
    most = timed["train_seconds"] / 4 if saving else bench.seconds[stage]
    moment = bench.chance.uniform(0, most)
    before, saved = copies.output_checksums(folder), checkpoints(folder)[-1:] if saving else None
    running = Running(folder, "dvc", "repro")
    if not running.wait_for(
        lambda: bool(running.find_stage(stage)) and checkpoints(folder)[-1:] != saved
    ):
        return None
    time.sleep(moment)
    process = running.find_stage(stage)
    if how == STAGE and process:
        with suppress(psutil.Error):
            for each in [process, *process.children(recursive=True)]:
                each.kill()
    else:  # also where the stage was quicker: DVC then keeps its outputs, or begins the next
        how = WITH_DVC
        running.send(signal.SIGKILL)
    text = running.end()
    kept = copies.output_checksums(folder)
    changed = [path for path, md5 in before.items() if kept.get(path, md5) != md5]
    wrong = f"changed {', '.join(changed)}" * bool(changed) or "a traceback" * ("Traceback" in text)
    said = ""
    if cut := [damage.path.name for damage in cut_off_records(folder)]:
        said = f"{' and '.join(cut)}, cut off and removed by `cardproof verify --remove`"
        run(folder, *copies.VERIFY, "--remove")
    return Outcome(how, f"{target}, {moment:.1f} s", not wrong, wrong, said), kept, text


def judge(outcome: Outcome, kept: copies.Checksums, text: str, wrong: str) -> Outcome:
    """What a kill cost, by what the next `dvc repro` did; it may not repeat what DVC had kept."""
    stage = re.split(r"\W", outcome.where)[0]
    again = re.findall(r"Running stage '(\w+)'", text)
    repeated = [s for s in again if kept and set(copies.outputs_of(s)) <= kept.keys()]
    if not (outcome.survived and not wrong and (not repeated or outcome.said)):
        lost = outcome.lost or wrong or f"repeated {', '.join(repeated)}"
        return replace(outcome, survived=False, lost=lost)
    lost = f"{stage}, run again" if stage in again else "nothing"
    return replace(outcome, lost=lost, said=outcome.said or resumed_from(text))


def interrupt(bench: Bench) -> Iterator[Outcome]:
    """Ctrl-C during training through `dvc repro`."""
    folder = bench.fresh("interrupted")
    running = Running(folder, "dvc", "repro")
    running.wait_for(lambda: bool(checkpoints(folder)))
    running.send(signal.SIGINT)
    said = running.end()
    wrong, text = bench.repeat(folder)
    resumed = resumed_from(text)
    told = "`dvc repro` resumes from there" in said and "Traceback" not in said
    survived = told and not wrong and bool(resumed)
    yield Outcome("Ctrl-C", "train", survived, wrong or resumed or text[-300:], last_error(said))


def kill_temporary(bench: Bench) -> Iterator[Outcome]:
    """Kill a run in `dvc exp run --temp`, and run it again."""
    folder = bench.fresh("temporary-killed")
    running = Running(folder, "dvc", "exp", "run", "--temp")
    running.wait_for(lambda: bool(checkpoints(folder)))
    copies.kill_all_in(folder)
    running.end()
    _, text = run(folder, "dvc", "exp", "run", "--temp")
    yield _judge_experiment(bench, folder, "kill -9 in `dvc exp run --temp`", text)


def kill_worker(bench: Bench) -> Iterator[Outcome]:
    """Kill a queue's worker with its run, and queue it again."""
    folder = bench.fresh("worker-killed")
    run(folder, "dvc", "exp", "run", "--queue")
    run(folder, "dvc", "queue", "start")
    copies.wait_until(lambda: bool(checkpoints(folder)))
    copies.kill_all_in(folder)
    run(folder, "dvc", "exp", "run", "--queue")
    run(folder, "dvc", "queue", "start")
    copies.wait_until(lambda: bool(copies.experiment_checksums(folder)))
    logs = folder.glob(".dvc/tmp/exps/run/*/*.out")
    text = "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)
    copies.kill_all_in(folder)
    yield _judge_experiment(bench, folder, "kill -9 of a queue's worker and its run", text)


def _judge_experiment(bench: Bench, folder: Path, fault: str, text: str) -> Outcome:
    found, resumed = copies.experiment_checksums(folder), resumed_from(text)
    wrong = [path for checksums in found.values() for path in bench.differing(checksums)]
    survived = len(found) == 1 and not wrong and bool(resumed)
    trouble = f"{len(found)} experiments, other: {wrong}; {last_error(text)}"
    return Outcome(fault, "train", survived, resumed if survived else trouble)
