"""Training: pinned losses, the cards' tables, and the best-checkpoint rule, on a tiny model."""

import csv
import re
import shutil
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback, TrainingArguments

from cardproof.errors import CardproofError
from cardproof.model.devices import Device, choose_device, nearest_precision
from cardproof.model.loading import load_classifier, load_tokenizer, load_word_pieces
from cardproof.model.tokens import TokenStore, write_tokens
from cardproof.recipe.schema import Train
from cardproof.tables import read_csv
from cardproof.training.layer_rates import layer_wise_optimizer
from cardproof.training.logs import TrainingTables
from cardproof.training.trainer import (
    Refinements,
    TrainingError,
    TrainingResult,
    curve_interval,
    steps_per_epoch,
    train_classifier,
    training_arguments,
)

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
    tables = TrainingTables(folder / "curve.csv", folder / "epochs.csv", train_recipe.logging_steps)
    validates = train_recipe.load_best
    arguments = training_arguments(train_recipe, 8, device, validates, folder / "checkpoints")
    result = train_classifier(
        model,
        tokenizer,
        stores[0],
        stores[1] if validates else None,
        arguments,
        tables,
        Refinements(train_recipe.layer_decay, train_recipe.average_last),
    )
    model.save_pretrained(folder / "model")
    return result


def test_a_tiny_run_has_the_pinned_losses(tiny_base: Path, tmp_path: Path) -> None:
    result = train(tiny_base, tmp_path, recipe())
    assert (result.steps, result.epochs) == (33, 3.0)  # 11 steps an epoch: the last batch is of 2
    epochs = read_csv(tmp_path / "epochs.csv")
    assert [e["step"] for e in epochs] == [11, 22, 33]
    assert [e["validation_loss"] for e in epochs] == pytest.approx(PINNED_VALIDATION, rel=1e-3)
    assert [e["training_loss"] for e in epochs] == pytest.approx(PINNED_TRAINING, rel=1e-3)
    best = int(np.argmin(PINNED_VALIDATION)) + 1
    assert result.best_epoch == best


PINNED_VALIDATION = [0.72402, 0.66867, 0.65618]
PINNED_TRAINING = [0.50688, 0.77236, 0.71651]


def test_training_loss_is_the_mean_of_the_last_full_window(tiny_base: Path, tmp_path: Path) -> None:
    train(tiny_base, tmp_path, recipe(logging_steps=4))
    curve = {int(p["step"] or 0): p["training_loss"] or 0 for p in read_csv(tmp_path / "curve.csv")}
    assert list(curve) == list(range(1, 34))
    for row in read_csv(tmp_path / "epochs.csv"):
        end = int(row["step"] or 0) // 4 * 4
        window = [curve[step] for step in range(end - 3, end + 1)]
        assert row["training_loss"] == pytest.approx(np.mean(window), rel=1e-12)


def test_the_table_at_step_1563_shows_steps_1001_to_1500(tmp_path: Path) -> None:
    tables = TrainingTables(tmp_path / "curve.csv", tmp_path / "epochs.csv", logging_steps=500)
    arguments: Any = SimpleNamespace(eval_strategy="epoch")
    control: Any = None
    for step in range(10, 1564, 10):
        logs = {"loss": float(step), "epoch": step / 1563, "learning_rate": 1e-5, "grad_norm": 1.0}
        state: Any = SimpleNamespace(global_step=step, epoch=step / 1563)
        tables.on_log(arguments, state, control, logs=logs)
    state = SimpleNamespace(global_step=1563, epoch=1.0)
    metrics = {"eval_loss": 0.2718, "eval_accuracy": 0.903}
    tables.on_evaluate(arguments, state, control, metrics=metrics)
    with (tmp_path / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = {"training_loss": "1255.0", "epoch": "1.0", "step": "1563"}
    assert rows == [expected | {"validation_loss": "0.2718", "accuracy": "0.903"}]


def test_without_validation_each_epoch_still_has_its_row(tiny_base: Path, tmp_path: Path) -> None:
    result = train(tiny_base, tmp_path, recipe(load_best=False))
    epochs = read_csv(tmp_path / "epochs.csv")
    assert [e["step"] for e in epochs] == [11, 22, 33]
    assert all(e["training_loss"] and e["validation_loss"] is None for e in epochs)
    assert result.best_epoch is None


def test_max_steps_cuts_a_run_short(tiny_base: Path, tmp_path: Path) -> None:
    result = train(tiny_base, tmp_path, recipe(max_steps=13, logging_steps=50))
    assert (result.steps, round(result.epochs, 3)) == (13, round(13 / 11, 3))
    epochs = read_csv(tmp_path / "epochs.csv")
    assert [e["step"] for e in epochs] == [11, 13]
    assert [e["training_loss"] for e in epochs] == [None, None]  # "No log": no window was full


def test_two_runs_give_the_same_weights_and_another_seed_others(
    tiny_base: Path, tmp_path: Path
) -> None:
    weights = []
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        (tmp_path / name).mkdir()
        train(tiny_base, tmp_path / name, recipe(seed=seed))
        weights.append((tmp_path / name / "model/model.safetensors").read_bytes())
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


class Weights(TrainerCallback):  # type: ignore[misc]
    """Keeps the weights after each step."""

    def __init__(self) -> None:
        self.after: dict[int, dict[str, torch.Tensor]] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self.after[state.global_step] = {n: p.detach().clone() for n, p in model.named_parameters()}


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> Weights:
    """The weights after each step of the trainings that follow."""
    seen = Weights()
    original = Trainer.__init__

    def with_it(self: Any, *args: Any, callbacks: Any = (), **kwargs: Any) -> None:
        original(self, *args, callbacks=[*callbacks, seen], **kwargs)

    monkeypatch.setattr(Trainer, "__init__", with_it)
    return seen


def test_the_average_is_the_mean_of_the_weights_of_the_last_steps(
    tiny_base: Path, tmp_path: Path, weights: Weights
) -> None:
    train(tiny_base, tmp_path, recipe(load_best=False, max_steps=8, average_last=0.5))
    kept = load_file(tmp_path / "model/model.safetensors")
    for name, parameter in weights.after[8].items():
        mean = torch.stack([weights.after[step][name] for step in (5, 6, 7, 8)]).mean(dim=0)
        torch.testing.assert_close(kept[name], mean, rtol=1e-5, atol=1e-7)
        assert not torch.equal(kept[name], parameter), name


def test_each_layer_learns_at_its_share_of_the_next_ones_rate(
    tiny_base: Path, tmp_path: Path, weights: Weights
) -> None:
    """Adam's first step moves each weight by its learning rate, whatever the gradient's size."""
    settings = {"load_best": False, "weight_decay": 0.0, "max_steps": 1, "epsilon": 1e-30}
    before = dict(load_classifier(tiny_base, 7, None).named_parameters())
    train(tiny_base, tmp_path, recipe(layer_decay=0.5, **settings))
    layers = load_classifier(tiny_base, 7, None).config.num_hidden_layers
    moved = {
        name: (after - before[name].detach()).abs().max().item() / 3e-3
        for name, after in weights.after[1].items()
    }
    seen = set()
    for name, share in moved.items():
        layer = re.search(r"layer\.(\d+)", name)
        height = int(layer[1]) + 1 if layer else 0 if "embeddings" in name else layers
        if share:  # of a key's bias the gradient is nothing
            assert share == pytest.approx(0.5 ** (layers - height), rel=1e-3), name
            seen.add(height)
    assert seen == set(range(layers + 1))


def test_a_model_without_numbered_layers_takes_no_layer_decay(tmp_path: Path) -> None:
    arguments = training_arguments(recipe(load_best=False), 8, CPU, False, tmp_path)
    with pytest.raises(CardproofError, match=r"Linear has no numbered layers; set it to null"):
        layer_wise_optimizer(torch.nn.Linear(2, 2), arguments, [], 0.9)
