"""A training run that is cut off is resumed as if nothing had happened."""

import json
import multiprocessing
import os
import shutil
import signal
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
from cardproof.training import checkpoint_folder as folders
from cardproof.training import checkpointing
from cardproof.training.checkpoint_files import last_intact_checkpoint
from cardproof.training.checkpoint_folder import checkpoint_folder, run_key
from cardproof.training.logs import TrainingTables
from cardproof.training.trainer import train_classifier, training_arguments
from tests.conftest import PATIENCE
from tests.training.test_trainer import CPU, recipe, reviews
from tests.warm import WARM, log_to


class CutError(Exception):
    """Stands for a process that ends without a word."""


EPOCH, STEPS = 6, 18  # 42 reviews in batches of 8, the last of 2; three epochs


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
    settings = recipe(**{"logging_steps": 4, "batch_size": 8} | changes)
    stores = []
    for name, rows, seed in (("a", 42, 1), ("b", 20, 2)):
        shutil.rmtree(folder / name, ignore_errors=True)
        stores.append(reviews(base, folder / name, rows, seed))
    model, tokenizer = load_classifier(base, settings.seed, None), load_tokenizer(base)
    tables = TrainingTables(
        folder / "curve.csv", folder / "epochs.csv", settings.logging_steps, EPOCH
    )
    with checkpoint_folder(folder / "checkpoints", "key") as checkpoints:
        arguments = training_arguments(settings, 8, CPU, settings.load_best, checkpoints)
        validation = stores[1] if settings.load_best else None
        train_classifier(model, tokenizer, stores[0], validation, arguments, [tables, *cuts])
        model.save_pretrained(folder / "model")
    files = ("curve.csv", "epochs.csv", "model/model.safetensors")
    return {name: (folder / name).read_bytes() for name in files}


def save_at_every_step(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checkpointing, "FIRST_SAVE", 0.0)
    patch.setattr(checkpointing, "SAVE_SHARE", 1e9)


@pytest.fixture(autouse=True)
def saves_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    save_at_every_step(monkeypatch)


# Of the best epoch; or of the last, with losses logged by threes: a cut falls within a mean.
WAYS: dict[bool, dict[str, Any]] = {
    True: {"load_best": True},
    False: {"load_best": False, "logging_steps": 150},
}


@pytest.fixture(scope="module")
def whole(
    tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, dict[str, bytes]]:
    """What comes of undisturbed runs, that of the best epoch and that of the last."""
    with pytest.MonkeyPatch.context() as patch:
        save_at_every_step(patch)
        return {
            best: train(tiny_base, tmp_path_factory.mktemp("whole"), **way)
            for best, way in WAYS.items()
        }


@pytest.mark.parametrize(
    ("load_best", "cuts"),
    [
        (True, [(2, "step")]),
        (True, [(4, "save"), (4, "step"), (12, "evaluate")]),
        (True, [(6, "save"), (7, "step")]),
        (True, [(6, "evaluate"), (12, "save"), (18, "evaluate")]),
        (True, [(17, "step"), (18, "save")]),
        (False, [(6, "step"), (8, "save"), (18, "step")]),
    ],
    ids=str,
)
def test_a_run_cut_off_ends_with_the_bytes_of_an_undisturbed_one(
    tiny_base: Path,
    tmp_path: Path,
    whole: dict[bool, dict[str, bytes]],
    load_best: bool,
    cuts: list[tuple[int, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for cut in cuts:
        with pytest.raises(CutError):
            train(tiny_base, tmp_path, CutOff(*cut), **WAYS[load_best])
        assert 1 <= len(list((tmp_path / "checkpoints/key").glob("checkpoint-*"))) <= 4
    assert train(tiny_base, tmp_path, **WAYS[load_best]) == whole[load_best]
    assert capsys.readouterr().out.count("resuming from checkpoint-") == len(cuts)


def cut_at(base: Path, folder: Path, step: int, **changes: Any) -> list[Path]:
    """The checkpoints left by a run that was cut off, the newest last."""
    folder.mkdir(exist_ok=True)
    with pytest.raises(CutError):
        train(base, folder, CutOff(step, "step"), **changes)
    found = (folder / "checkpoints/key").glob("checkpoint-*")
    return sorted(found, key=lambda p: int(p.name.partition("-")[2]))


@pytest.fixture(scope="module")
def cut_at_9(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    with pytest.MonkeyPatch.context() as patch:
        save_at_every_step(patch)
        return cut_at(tiny_base, tmp_path_factory.mktemp("cut"), 9)


@pytest.fixture
def newest(cut_at_9: list[Path], tmp_path: Path) -> Path:
    """The newest checkpoint of a run that was cut off, among copies of the others."""
    names = [path.name for path in cut_at_9]
    assert names == ["checkpoint-6", "checkpoint-7", "checkpoint-8"]  # the best, and the last two
    return Path(shutil.copytree(cut_at_9[0].parent, tmp_path / "key")) / names[-1]


def test_the_seconds_of_the_steps_before_are_kept(cut_at_9: list[Path]) -> None:
    seconds = [json.loads((path / "cardproof.json").read_text())["seconds"] for path in cut_at_9]
    assert seconds == sorted(seconds)
    assert 0 < seconds[-1] < PATIENCE


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "cardproof.json"])
@pytest.mark.parametrize("damage", ["truncated", "one bit", "missing"])
def test_a_damaged_checkpoint_is_named_and_never_used(
    newest: Path, file: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
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
    newest: Path, tmp_path: Path, file: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
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
    tiny_base: Path,
    tmp_path: Path,
    whole: dict[bool, dict[str, bytes]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    newest = cut_at(tiny_base, tmp_path / "cut", 9)[-1]
    poison(newest, "optimizer.pt", "pickle", tmp_path / "ran")
    assert train(tiny_base, tmp_path / "cut") == whole[True]
    assert "resuming from checkpoint-7" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


def test_without_its_best_checkpoint_a_run_is_not_resumed(tiny_base: Path, tmp_path: Path) -> None:
    newest = cut_at(tiny_base, tmp_path, 9)[-1]
    best = Path(json.loads((newest / "trainer_state.json").read_text())["best_model_checkpoint"])
    assert best.name == "checkpoint-6"
    (best / "model.safetensors").write_bytes(b"")
    assert last_intact_checkpoint(newest.parent) is None


@pytest.mark.parametrize("max_steps", [-1, 10], ids=["all epochs", "ends within an epoch"])
@pytest.mark.parametrize("load_best", [True, False])
def test_a_finished_run_whose_model_was_lost_is_resumed_too(
    tiny_base: Path,
    tmp_path: Path,
    load_best: bool,
    max_steps: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    finished = train(tiny_base, tmp_path, max_steps=max_steps, **WAYS[load_best])
    shutil.rmtree(tmp_path / "model")
    assert train(tiny_base, tmp_path, max_steps=max_steps, **WAYS[load_best]) == finished
    if max_steps < 0:
        assert capsys.readouterr().out.count("resuming from checkpoint-") == 1


def test_the_seconds_between_checkpoints_can_be_set(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SAVE_VARIABLE, "1000")
    assert not cut_at(tiny_base, tmp_path / "a", EPOCH - 1)
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


class Pause(TrainerCallback):  # type: ignore[misc]
    """Says that a step has begun, and waits until it may go on."""

    def __init__(self, folder: Path, step: int) -> None:
        self.there, self.go_on, self.step = folder / f"at-{step}", folder / f"go-on-{step}", step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step + 1 == self.step:
            self.there.touch()
            wait_for(self.go_on)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def train_elsewhere(base: Path, folder: Path, step: int) -> None:
    """Train in a process of its own, which pauses at a step; what it says goes to a log."""
    log_to(folder / "log")
    checkpointing.FIRST_SAVE, checkpointing.SAVE_SHARE = 0.0, 1e9
    train(base, folder, Pause(folder, step))


def test_killed_and_interrupted_for_real(
    tiny_base: Path, tmp_path: Path, whole: dict[bool, dict[str, bytes]]
) -> None:
    ends = []
    for step, number in ((5, signal.SIGKILL), (11, signal.SIGINT)):
        process = WARM.Process(target=train_elsewhere, args=(tiny_base, tmp_path, step))
        process.start()
        wait_for(tmp_path / f"at-{step}")
        os.kill(process.pid or 0, number)
        (tmp_path / f"go-on-{step}").touch()
        process.join(PATIENCE)
        ends.append(process.exitcode)
    assert ends == [-signal.SIGKILL, 1]
    log = (tmp_path / "log").read_text()
    assert "interrupted after step 11 of 18" in log
    assert "resuming from checkpoint-4" in log
    assert train(tiny_base, tmp_path) == whole[True]


def test_a_signal_in_the_last_epoch_or_at_its_end_is_heeded(
    tiny_base: Path, tmp_path: Path, whole: dict[bool, dict[str, bytes]]
) -> None:
    at = (EPOCH, STEPS - 2)

    class Signal(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step + 1 in at:
                os.kill(os.getpid(), signal.SIGTERM)

    for stopped_at in at:
        with pytest.raises(StoppedError, match=f"after step {stopped_at} of {STEPS}"):
            train(tiny_base, tmp_path, Signal())
    assert train(tiny_base, tmp_path) == whole[True]


def test_the_key_is_of_settings_inputs_and_code(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    key = run_key({"seed": 1}, [tmp_path / "a"])
    assert key == run_key({"seed": 1}, [tmp_path / "a"])
    assert key != run_key({"seed": 2}, [tmp_path / "a"])
    assert run_key({"a": 1, "b": 2}, []) == run_key({"b": 2, "a": 1}, [])
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
    same = (root / "a" / folders.FINISHED).stat().st_mtime_ns
    os.utime(tmp_path / "a/dvc.lock", ns=(same, same))  # not later: not known to be saved
    with checkpoint_folder(root, "c"):
        assert names(root) == ["a", "b", "c"]
    later = (root / "a" / folders.FINISHED).stat().st_mtime + 1
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


def test_unfinished_runs_that_nobody_resumed_are_bounded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(12):
        (tmp_path / f"old{i:02}").mkdir()
        os.utime(tmp_path / f"old{i:02}", (i, i))
    with checkpoint_folder(tmp_path, "key"):
        assert names(tmp_path) == sorted([*(f"old{i:02}" for i in range(5, 12)), "key"])
    assert capsys.readouterr().out.count("removing the checkpoints of an unfinished run") == 5


def test_the_folder_of_checkpoints_is_made_with_those_above_it(tmp_path: Path) -> None:
    with checkpoint_folder(tmp_path / "new/checkpoints", "key") as folder:
        assert folder.is_dir()


def test_a_folder_that_cannot_be_removed_stops_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "KEPT_RUNS", 0)
    (tmp_path / "another's").mkdir()
    (tmp_path / "another's/checkpoint").touch()

    unlink = os.unlink

    def refuse(path: Any, **options: Any) -> None:
        if Path(path).name == "checkpoint":
            raise PermissionError(13, "Permission denied", path)
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    with checkpoint_folder(tmp_path, "key"):
        assert names(tmp_path) == ["another's", "key"]


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


def test_many_processes_prune_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "KEPT_RUNS", 1)  # most that is pruned is at work
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=train_for_a_moment, args=(tmp_path, i)) for i in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert len(names(tmp_path)) <= folders.KEPT_RUNS + 6
