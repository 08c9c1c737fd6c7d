"""Training: pinned losses, the cards' tables, and the best-checkpoint rule, on a tiny model."""

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainingArguments

from cardproof.csv_files import parse_csv
from cardproof.model.devices import (
    Device,
    bf16_time_ratio,
    choose_device,
    describe_precision,
    nearest_precision,
)
from cardproof.model.loading import load_classifier, load_tokenizer, load_word_pieces
from cardproof.model.tokens import TokenStore, write_tokens
from cardproof.recipe.schema import Train
from cardproof.training.logs import TrainingTables, epoch_rows
from cardproof.training.trainer import (
    TrainingError,
    TrainingResult,
    curve_interval,
    steps_per_epoch,
    train_classifier,
    training_arguments,
)
from tests.conftest import PATIENCE

CPU = Device("cpu", "fp32", "fp32", "")


def recipe(**changes: Any) -> Train:
    values: dict[str, Any] = {
        "learning_rate": 3e-3, "scheduler": "linear", "warmup_steps": 0, "weight_decay": 0.01,
        "betas": [0.9, 0.999], "epsilon": 1e-8, "batch_size": 4, "epochs": 3.0, "max_steps": -1,
        "seed": 7, "precision": "fp32", "load_best": True, "logging_steps": 4,
    }  # fmt: skip
    return Train.model_validate(values | changes)


def reviews(base: Path, folder: Path, rows: int, seed: int) -> TokenStore:
    """Texts of good and bad: easy to learn, with some of them turned round."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    turned = random.random(rows) < 0.1
    words = np.where((labels == 1) != turned, "good", "bad")
    texts = [f"the film was {'very ' * random.integers(0, 9)}{word}" for word in words]
    folder.mkdir()
    return write_tokens([(texts, labels.tolist())], load_word_pieces(base), 32, folder)


def train(base: Path, folder: Path, train_recipe: Train, device: Device = CPU) -> TrainingResult:
    stores = [reviews(base, folder / n, r, s) for n, r, s in (("a", 42, 1), ("b", 20, 2))]
    model, tokenizer = load_classifier(base, train_recipe.seed, None), load_tokenizer(base)
    tables = TrainingTables(
        folder / "curve.csv", folder / "epochs.csv", train_recipe.logging_steps, 11
    )
    validates = train_recipe.load_best
    arguments = training_arguments(train_recipe, 8, device, validates, folder / "checkpoints")
    result = train_classifier(
        model,
        tokenizer,
        stores[0],
        stores[1] if validates else None,
        arguments,
        [tables],
    )
    model.save_pretrained(folder / "model")
    return result


@pytest.fixture(scope="module")
def run(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, Path]:
    """A run by `recipe()`: what came of it, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    return train(tiny_base, folder, recipe()), folder


def test_a_tiny_run_has_the_pinned_losses(run: tuple[TrainingResult, Path]) -> None:
    result, folder = run
    assert (result.steps, result.epochs) == (33, 3.0)  # 11 steps an epoch: the last batch is of 2
    epochs = parse_csv((folder / "epochs.csv").read_text())
    assert [e["step"] for e in epochs] == [11, 22, 33]
    assert [e["validation_loss"] for e in epochs] == pytest.approx(PINNED_VALIDATION, rel=1e-3)
    assert [e["training_loss"] for e in epochs] == pytest.approx(PINNED_TRAINING, rel=1e-3)
    best = int(np.argmin(PINNED_VALIDATION)) + 1
    assert result.best_epoch == best
    assert 0 < result.seconds < PATIENCE
    assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


PINNED_VALIDATION = [0.72402, 0.66867, 0.65618]
PINNED_TRAINING = [0.50688, 0.77236, 0.71651]


def test_training_loss_is_the_mean_of_the_last_full_window(
    run: tuple[TrainingResult, Path],
) -> None:
    _, folder = run
    curve = {
        int(p["step"] or 0): p["training_loss"] or 0
        for p in parse_csv((folder / "curve.csv").read_text())
    }
    assert list(curve) == list(range(1, 34))
    for row in parse_csv((folder / "epochs.csv").read_text()):
        end = int(row["step"] or 0) // 4 * 4
        window = [curve[step] for step in range(end - 3, end + 1)]
        assert row["training_loss"] == pytest.approx(np.mean(window), rel=1e-12)


def test_the_table_at_step_1563_shows_steps_1001_to_1500() -> None:
    log = [{"loss": float(step), "step": step} for step in range(10, 1564, 10)]
    log.append({"eval_loss": 0.2718, "eval_accuracy": 0.903, "step": 1563})
    expected = {"training_loss": 1255.0, "epoch": 1.0, "step": 1563}
    expected |= {"validation_loss": 0.2718, "accuracy": 0.903}
    assert epoch_rows(log, 500, 1563, [1563]) == [expected]


def test_without_validation_each_epoch_still_has_its_row(tiny_base: Path, tmp_path: Path) -> None:
    result = train(tiny_base, tmp_path, recipe(load_best=False))
    epochs = parse_csv((tmp_path / "epochs.csv").read_text())
    assert [e["step"] for e in epochs] == [11, 22, 33]
    assert all(e["training_loss"] and e["validation_loss"] is None for e in epochs)
    assert result.best_epoch is None


def test_max_steps_cuts_a_run_short(tiny_base: Path, tmp_path: Path) -> None:
    result = train(tiny_base, tmp_path, recipe(max_steps=13, logging_steps=50))
    assert (result.steps, round(result.epochs, 3)) == (13, round(13 / 11, 3))
    epochs = parse_csv((tmp_path / "epochs.csv").read_text())
    assert [e["step"] for e in epochs] == [11, 13]
    assert [e["training_loss"] for e in epochs] == [None, None]  # "No log": no window was full


def test_two_runs_give_the_same_weights_and_another_seed_others(
    run: tuple[TrainingResult, Path], tiny_base: Path, tmp_path: Path
) -> None:
    folders = [run[1], tmp_path / "again", tmp_path / "other"]
    for folder, seed in zip(folders[1:], (7, 8), strict=True):
        folder.mkdir()
        train(tiny_base, folder, recipe(seed=seed))
    weights = [(folder / "model/model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1] != weights[2]


def test_a_loss_that_is_not_finite_is_an_error_that_says_what_to_change(
    tiny_base: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_base, damaged)
    model = load_classifier(damaged, 1, None)
    model.classifier.weight.data[0, 0] = float("nan")
    model.save_pretrained(damaged)
    with pytest.raises(TrainingError, match=r"became nan; lower train\.learning_rate"):
        train(damaged, tmp_path, recipe())


@pytest.mark.parametrize(
    ("rows", "batch", "steps"),
    [(22_500, 16, 1407), (25_000, 8, 3125), (25_000, 16, 1563), (20_000, 16, 1250)],
)
def test_steps_of_an_epoch(rows: int, batch: int, steps: int) -> None:
    assert steps_per_epoch(rows, batch) == steps


@pytest.mark.parametrize(
    ("logging_steps", "every"), [(500, 10), (20, 1), (1, 1), (101, 1), (150, 3)]
)
def test_curve_points_divide_the_window(logging_steps: int, every: int) -> None:
    assert curve_interval(logging_steps) == every


def test_a_precision_that_a_cpu_lacks_gives_way_with_its_reason() -> None:
    assert nearest_precision("cpu", "fp32") == ("fp32", "")
    assert nearest_precision("cpu", "bf16") == ("bf16", "")
    used, reason = nearest_precision("cpu", "fp16")
    assert used in ("bf16", "fp32")
    assert "a CPU cannot train in fp16" in reason
    assert nearest_precision("mps", "fp16")[0] == "fp32"
    device = choose_device("fp32")
    assert (device.precision, device.reason != "") == ("fp32", True)


def test_bf16_that_costs_time_on_this_cpu_is_said_with_the_ratio_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 0 < bf16_time_ratio(64, 1) < 1e4
    monkeypatch.setattr("cardproof.model.devices.bf16_time_ratio", lambda: 7.66)
    said = describe_precision(Device("cpu", "bf16", "bf16", ""))
    assert "bf16 takes 7.7 times as long as fp32" in said and "train.precision=fp32" in said
    assert describe_precision(Device("cpu", "fp32", "fp32", "")) == ""
    assert describe_precision(Device("cuda", "bf16", "bf16", "")) == ""
    monkeypatch.setattr("cardproof.model.devices.bf16_time_ratio", lambda: 0.4)
    assert describe_precision(Device("cpu", "bf16", "bf16", "")) == ""


def test_a_machine_with_more_gpus_trains_the_same_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers takes all GPUs that one process sees and gives each a batch."""
    found = TrainingArguments._setup_devices.func

    def two_gpus(self: TrainingArguments) -> torch.device:
        device = found(self)
        self._n_gpu = 2
        return device  # type: ignore[no-any-return]

    faked = cached_property(two_gpus)
    faked.__set_name__(TrainingArguments, "_setup_devices")
    monkeypatch.setattr(TrainingArguments, "_setup_devices", faked)
    assert TrainingArguments(str(tmp_path), per_device_train_batch_size=4).train_batch_size == 8
    assert training_arguments(recipe(), 8, CPU, True, tmp_path).train_batch_size == 4
