"""A training run that is cut off is resumed as if nothing had happened."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerCallback, TrainerControl

from cardproof.errors import CardproofError, StoppedError
from cardproof.files import CHECKSUMS, sha256_of
from cardproof.model.loading import load_classifier, load_tokenizer
from cardproof.recipe.environment import SAVE_VARIABLE
from cardproof.training import checkpointing
from cardproof.training.checkpointing import checkpoint_folder, last_intact_checkpoint, run_key
from cardproof.training.logs import TrainingTables
from cardproof.training.trainer import train_classifier, training_arguments
from tests.conftest import PATIENCE, ROOT
from tests.training.test_trainer import CPU, recipe, reviews


class CutError(Exception):
    """Stands for a process that ends without a word."""


class CutOff(TrainerCallback):  # type: ignore[misc]
    """Ends the training at a step, or while it saves at that step, as nothing could prevent."""

    def __init__(self, step: int, moment: str) -> None:
        self.step, self.moment = step, moment

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step and self.moment == "step":
            raise CutError

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step and self.moment == "save":
            raise CutError

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step and self.moment == "evaluate":
            raise CutError


def train(base: Path, folder: Path, *cuts: TrainerCallback, **changes: Any) -> dict[str, bytes]:
    """Train as stages.train does; the bytes of what comes of it."""
    settings = recipe(logging_steps=4, **changes)
    stores = []
    for name, rows, seed in (("a", 42, 1), ("b", 20, 2)):
        shutil.rmtree(folder / name, ignore_errors=True)
        stores.append(reviews(base, folder / name, rows, seed))
    model, tokenizer = load_classifier(base, settings.seed, None), load_tokenizer(base)
    tables = TrainingTables(folder / "curve.csv", folder / "epochs.csv", settings.logging_steps, 11)
    with checkpoint_folder(folder / "checkpoints", "key") as checkpoints:
        arguments = training_arguments(settings, 8, CPU, settings.load_best, checkpoints)
        validation = stores[1] if settings.load_best else None
        train_classifier(model, tokenizer, stores[0], validation, arguments, [tables, *cuts])
        model.save_pretrained(folder / "model")
    files = ("curve.csv", "epochs.csv", "model/model.safetensors")
    return {name: (folder / name).read_bytes() for name in files}


@pytest.fixture(autouse=True)
def saves_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "FIRST_SAVE", 0.0)
    monkeypatch.setattr(checkpointing, "SAVE_SHARE", 1e9)


@pytest.mark.parametrize(
    "cuts",
    [
        [(2, "step")],
        [(7, "save"), (7, "step"), (19, "evaluate")],
        [(11, "save"), (12, "step")],
        [(11, "evaluate"), (22, "save"), (33, "evaluate")],
        [(30, "step"), (33, "save")],
    ],
    ids=str,
)
@pytest.mark.parametrize("load_best", [True, False])
def test_a_run_cut_off_ends_with_the_bytes_of_an_undisturbed_one(
    tiny_base: Path, tmp_path: Path, cuts: list[tuple[int, str]], load_best: bool
) -> None:
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = train(tiny_base, tmp_path / "whole", load_best=load_best)
    for cut in cuts:
        with suppress(CutError):
            train(tiny_base, tmp_path / "cut", CutOff(*cut), load_best=load_best)
        assert (tmp_path / "cut/checkpoints/key").is_dir()
    assert train(tiny_base, tmp_path / "cut", load_best=load_best) == whole


def cut_at(base: Path, folder: Path, step: int) -> list[Path]:
    """The checkpoints left by a run that was cut off, the newest last."""
    folder.mkdir(exist_ok=True)
    with pytest.raises(CutError):
        train(base, folder, CutOff(step, "step"))
    found = (folder / "checkpoints/key").glob("checkpoint-*")
    return sorted(found, key=lambda p: int(p.name.partition("-")[2]))


def test_it_is_resumed_and_does_not_start_again(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = cut_at(tiny_base, tmp_path, 20)
    assert [p.name for p in checkpoints][-1] == "checkpoint-19"
    assert len(checkpoints) <= 3
    train(tiny_base, tmp_path)
    assert "resuming from checkpoint-19" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "cardproof.json"])
@pytest.mark.parametrize("damage", ["truncated", "one bit", "missing"])
def test_a_damaged_checkpoint_is_named_and_never_used(
    tiny_base: Path, tmp_path: Path, file: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = cut_at(tiny_base, tmp_path, 9)[-1]
    content = (newest / file).read_bytes()
    if damage == "missing":
        (newest / file).unlink()
    elif damage == "truncated":
        (newest / file).write_bytes(content[: len(content) // 2])
    else:
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 1])
        (newest / file).write_bytes(content[:middle] + flipped + content[middle + 1 :])
    found = last_intact_checkpoint(newest.parent)
    assert found is not None
    assert found.name == "checkpoint-7"
    said = capsys.readouterr().out
    assert f"{newest.name} cannot be used" in said
    assert file in said
    assert not newest.exists()


class Poison:
    """What a pickle would run when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def poison(checkpoint: Path, file: str, kind: str, mark: Path) -> None:
    """Replace a file of a checkpoint, and its checksum with it."""
    path = checkpoint / file
    if kind == "pickle":
        torch.save({"state": Poison(mark), "param_groups": [], "last_epoch": 0}, path)
    elif kind == "garbage":
        path.write_bytes(b"\x80\x04garbage")
    else:
        path.write_text("{}")
    sums = json.loads((checkpoint / CHECKSUMS).read_text()) | {file: sha256_of(path)}
    (checkpoint / CHECKSUMS).write_text(json.dumps(sums))


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("optimizer.pt", "pickle"),
        ("scheduler.pt", "pickle"),
        ("rng_state.pth", "pickle"),
        ("optimizer.pt", "garbage"),
        ("model.safetensors", "garbage"),
        ("trainer_state.json", "garbage"),
        ("trainer_state.json", "empty"),
        ("cardproof.json", "empty"),
    ],
)
def test_a_poisoned_checkpoint_with_matching_checksums_is_set_aside(
    tiny_base: Path, tmp_path: Path, file: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = cut_at(tiny_base, tmp_path, 9)[-1]
    poison(newest, file, kind, tmp_path / "ran")
    found = last_intact_checkpoint(newest.parent)
    assert found is not None
    assert found.name == "checkpoint-7"
    said = capsys.readouterr().out
    assert f"{newest.name} cannot be used: {file} cannot be loaded (" in said
    assert not (tmp_path / "ran").exists()
    assert not newest.exists()
    assert (newest.with_name(f"refused-{newest.name}") / file).is_file()


def test_training_goes_on_from_the_checkpoint_before_a_poisoned_one(
    tiny_base: Path, tmp_path: Path
) -> None:
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = train(tiny_base, tmp_path / "whole")
    newest = cut_at(tiny_base, tmp_path / "cut", 9)[-1]
    poison(newest, "optimizer.pt", "pickle", tmp_path / "ran")
    assert train(tiny_base, tmp_path / "cut") == whole
    assert not (tmp_path / "ran").exists()


def test_without_its_best_checkpoint_a_run_is_not_resumed(tiny_base: Path, tmp_path: Path) -> None:
    newest = cut_at(tiny_base, tmp_path, 20)[-1]
    best = Path(json.loads((newest / "trainer_state.json").read_text())["best_model_checkpoint"])
    assert best.name == "checkpoint-11"
    (best / "model.safetensors").write_bytes(b"")
    assert last_intact_checkpoint(newest.parent) is None


@pytest.mark.parametrize("max_steps", [-1, 20], ids=["all epochs", "ends within an epoch"])
@pytest.mark.parametrize("load_best", [True, False])
def test_a_finished_run_whose_model_was_lost_is_resumed_too(
    tiny_base: Path,
    tmp_path: Path,
    load_best: bool,
    max_steps: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = train(tiny_base, tmp_path, load_best=load_best, max_steps=max_steps)
    shutil.rmtree(tmp_path / "model")
    assert train(tiny_base, tmp_path, load_best=load_best, max_steps=max_steps) == whole
    if max_steps < 0:
        assert capsys.readouterr().out.count("resuming from checkpoint-") == 1


def test_the_seconds_between_checkpoints_can_be_set(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SAVE_VARIABLE, "1000")
    assert not cut_at(tiny_base, tmp_path / "a", 9)
    monkeypatch.setenv(SAVE_VARIABLE, "often")
    with pytest.raises(CardproofError, match="'often' must be a number of seconds"):
        train(tiny_base, tmp_path / "a")


def test_saving_takes_its_share_of_the_time_also_after_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second a step, two seconds a save, and one by the Trainer itself after each epoch."""
    now = 0.0
    monkeypatch.setattr(checkpointing, "FIRST_SAVE", 5.0)
    monkeypatch.setattr(checkpointing, "SAVE_SHARE", 0.02)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    trainer: Any = SimpleNamespace(_tr_loss=0.0)
    keeper = checkpointing.CheckpointKeeper(trainer, 1_000)
    arguments: Any = SimpleNamespace(output_dir=tmp_path, should_save=False, device=None)
    saved = [0]
    for step in range(1, 3_001):
        now += 1
        state: Any = SimpleNamespace(global_step=step)
        control = TrainerControl()
        keeper.on_step_end(arguments, state, control)
        if control.should_save or step % 1_000 == 0:
            saved.append(step)
            now += 2
            keeper.on_save(arguments, state, control)
    assert {1_000, 2_000, 3_000} < set(saved)
    assert max(np.diff(saved)) <= 2 / 0.02
    assert 2 * len(saved) <= 0.02 * now + 2 * 5  # the first, and those after an epoch, on top


SCRIPT = """
import sys
from pathlib import Path
from cardproof.training import checkpointing
from tests.training.test_checkpointing import train
checkpointing.FIRST_SAVE, checkpointing.SAVE_SHARE = 0.0, 1e9
train(Path(sys.argv[1]), Path(sys.argv[2]), epochs=16.0)
"""


def start(base: Path, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", SCRIPT, str(base), str(folder)]
    log = (folder / "log").open("ab")
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


def wait_for_rows(path: Path, rows: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.is_file() or path.read_bytes().count(b"\n") < rows:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_and_interrupted_for_real(tiny_base: Path, tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = train(tiny_base, tmp_path / "whole", epochs=16.0)
    folder = tmp_path / "killed"
    killed = start(tiny_base, folder)
    wait_for_rows(folder / "curve.csv", 40)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait(PATIENCE) == -signal.SIGKILL
    (folder / "curve.csv").unlink()
    stopped = start(tiny_base, folder)
    wait_for_rows(folder / "curve.csv", 90)
    os.kill(stopped.pid, signal.SIGINT)
    assert stopped.wait(PATIENCE) == 1
    assert "`dvc repro` resumes from there" in (folder / "log").read_text()
    assert train(tiny_base, folder, epochs=16.0) == whole
    assert (folder / "log").read_text().count("resuming from") == 1


def test_a_signal_in_the_last_epoch_or_at_its_end_is_heeded(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    whole = train(tiny_base, tmp_path / "whole")

    class Signal(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step + 1 in (11, 30):
                os.kill(os.getpid(), signal.SIGTERM)

    folder = tmp_path / "stopped"
    folder.mkdir()
    for stopped_at in (11, 30):
        with pytest.raises(StoppedError, match=f"after step {stopped_at} of 33"):
            train(tiny_base, folder, Signal())
    assert train(tiny_base, folder) == whole


def test_the_key_is_of_settings_inputs_and_code(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    key = run_key({"seed": 1}, [tmp_path / "a"])
    assert key == run_key({"seed": 1}, [tmp_path / "a"])
    assert key != run_key({"seed": 2}, [tmp_path / "a"])
    (tmp_path / "a/x").write_text("2")
    assert key != run_key({"seed": 1}, [tmp_path / "a"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def test_two_processes_at_the_same_run_do_not_share_checkpoints(tmp_path: Path) -> None:
    with checkpoint_folder(tmp_path, "key") as first:
        with checkpoint_folder(tmp_path, "key") as second:
            assert second != first
        with checkpoint_folder(tmp_path, "other"):
            assert names(tmp_path) == sorted(["key", second.name, "other"])


def test_checkpoints_of_a_finished_run_stay_until_dvc_has_saved_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    for place in "ab":
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        (tmp_path / place / "dvc.lock").touch()
        os.utime(tmp_path / place / "dvc.lock", (0, 0))  # of an earlier run
        with checkpoint_folder(root, place):
            pass
    with checkpoint_folder(root, "c"):  # in the workspace of b, whose model DVC could not save
        assert names(root) == ["a", "b", "c"]
    later = (root / "a" / checkpointing.FINISHED).stat().st_mtime + 1
    os.utime(tmp_path / "a/dvc.lock", (later, later))
    (root / "c/checkpoint-9").mkdir()
    os.utime(tmp_path / "b/dvc.lock", (later, later))
    with checkpoint_folder(root, "c") as folder:  # again, by force: it is trained again
        assert names(folder) == []
    os.utime(tmp_path / "b/dvc.lock", (0, 0))
    with checkpoint_folder(root, "d"):
        assert names(root) == ["c", "d"]
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(tmp_path / "b")  # as DVC does with a temporary copy
    with checkpoint_folder(root, "e"):
        assert names(root) == ["e"]


def test_unfinished_runs_that_nobody_resumed_are_bounded(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"old{i:02}").mkdir()
        os.utime(tmp_path / f"old{i:02}", (i, i))
    with checkpoint_folder(tmp_path, "key"):
        assert names(tmp_path) == sorted([*(f"old{i:02}" for i in range(5, 12)), "key"])


def train_for_a_moment(root: Path, seed: int) -> None:
    """Runs one after the other, a third of them cut off; each has its folder to itself."""
    random = np.random.default_rng(seed)
    for _ in range(60):
        with (
            suppress(CutError),
            checkpoint_folder(root, f"key{random.integers(12)}") as folder,
        ):
            for name in ("checkpoint-1", "checkpoint-2"):
                shutil.rmtree(folder / name, ignore_errors=True)
                (folder / name).mkdir()
                (folder / name / "owner").write_text(str(seed))
            time.sleep(random.random() / 200)
            for owner in folder.glob("*/owner"):
                assert owner.read_text() == str(seed)
            assert len(list(folder.glob("*/owner"))) == 2
            if random.random() < 1 / 3:
                raise CutError


def test_many_processes_prune_at_once(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=train_for_a_moment, args=(tmp_path, i)) for i in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert len(names(tmp_path)) <= checkpointing.KEPT_RUNS + 6
