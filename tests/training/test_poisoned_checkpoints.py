"""Checkpoints whose checksums match and whose contents are not this training's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import Trainer
from transformers.trainer_pt_utils import safe_globals

from cardproof.errors import CardproofError
from cardproof.files import CHECKSUMS, sha256_of
from cardproof.model.loading import load_classifier
from cardproof.training import checkpointing
from cardproof.training.checkpoint_files import Contents, contents_of, last_intact_checkpoint
from cardproof.training.trainer import training_arguments
from tests.training.test_checkpointing import cut_at, train
from tests.training.test_trainer import CPU, recipe

Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def cut(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was cut off after step 4, with checkpoints of steps 2, 3 and 4."""
    folder = tmp_path_factory.mktemp("cut")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpointing, "FIRST_SAVE", 0.0)
        patched.setattr(checkpointing, "SAVE_SHARE", 1e9)
        found = cut_at(tiny_base, folder, 5, load_best=False, max_steps=7)
    assert [p.name for p in found] == ["checkpoint-2", "checkpoint-3", "checkpoint-4"]
    return folder


@pytest.fixture(scope="module")
def contents(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    arguments = training_arguments(
        recipe(load_best=False), 8, CPU, False, tmp_path_factory.mktemp("unused")
    )
    return contents_of(Trainer(model=load_classifier(tiny_base), args=arguments))


def copy_of(cut: Path, folder: Path) -> Path:
    """The run's folder in another place; its newest checkpoint."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(cut, folder)
    return folder / "checkpoints/key/checkpoint-4"


def sign(checkpoint: Path) -> None:
    """Write the checksums of what is there, as whoever changed it can."""
    files = sorted(p for p in checkpoint.iterdir() if p.name != CHECKSUMS)
    sums = {p.name: sha256_of(p) for p in files}
    (checkpoint / CHECKSUMS).write_text(json.dumps(sums))


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def apply(checkpoint: Path) -> None:
        tensors = load_file(checkpoint / "model.safetensors")
        change(tensors)
        save_file(tensors, checkpoint / "model.safetensors")

    return apply


def optimizer(change: Callable[[dict[str, Any]], object]) -> Change:
    def apply(checkpoint: Path) -> None:
        state = torch.load(checkpoint / "optimizer.pt", weights_only=True)
        change(state)
        torch.save(state, checkpoint / "optimizer.pt")

    return apply


def without(name: str) -> Change:
    return lambda checkpoint: (checkpoint / name).unlink()


BIAS = "classifier.bias"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (weights(lambda t: t[BIAS].fill_(torch.nan)), f"{BIAS} has a number that is not finite"),
        (weights(lambda t: t.update({BIAS: torch.zeros(3)})),
         f"{BIAS} has the size (3,), the model's is (2,)"),
        (weights(lambda t: t.pop(BIAS)), f"it has no {BIAS}"),
        (optimizer(lambda s: s["state"][0]["exp_avg"].fill_(torch.inf)),
         "exp_avg of parameter 0 has a number that is not finite"),
        (optimizer(lambda s: s["state"][1].update(exp_avg=torch.zeros(9))),
         "exp_avg of parameter 1 has the size (9,), the model's is"),
        (without("scheduler.pt"), "it is incomplete (no scheduler.pt)"),
    ],
)  # fmt: skip
def test_what_is_not_of_this_model_is_named_and_set_aside(
    cut: Path,
    contents: Contents,
    tmp_path: Path,
    change: Change,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    newest = copy_of(cut, tmp_path / "run")
    change(newest)
    sign(newest)
    found = last_intact_checkpoint(newest.parent, contents=contents)
    assert found == newest.with_name("checkpoint-3")
    said = capsys.readouterr().out
    assert "checkpoint-4 cannot be used: " in said
    assert words in said
    assert (newest.parent / f"refused-{newest.name}").is_dir()


def test_training_goes_on_from_the_one_before(
    tiny_base: Path, cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "whole").mkdir()
    whole = train(tiny_base, tmp_path / "whole", load_best=False, max_steps=7)
    newest = copy_of(cut, tmp_path / "run")
    weights(lambda t: t[BIAS].fill_(torch.nan))(newest)
    sign(newest)
    assert train(tiny_base, tmp_path / "run", load_best=False, max_steps=7) == whole
    assert "resuming from checkpoint-3" in capsys.readouterr().out


JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    JSON, lambda v: st.lists(v, max_size=2) | st.dictionaries(st.text(max_size=3), v, max_size=2)
)
KEYS = {
    "trainer_state.json": ["epoch", "global_step", "log_history", "max_steps", "best_metric",
                           "best_model_checkpoint", "stateful_callbacks", "x", "train_batch_size"],
    "cardproof.json": ["seconds", "losses_since_log", "last_logged_step"],
    "scheduler.pt": ["last_epoch", "base_lrs", "_step_count", "lr_lambdas", "step", "_last_lr"],
    "rng_state.pth": ["python", "numpy", "cpu"],
    "optimizer.pt": ["state", "param_groups"],
}  # fmt: skip


@settings(max_examples=4, deadline=None)
@given(
    place=st.sampled_from([(name, key) for name, keys in KEYS.items() for key in keys]),
    value=VALUES,
)
@example(place=("scheduler.pt", "step"), value=None)
@example(place=("trainer_state.json", "log_history"), value={})
@example(place=("trainer_state.json", "stateful_callbacks"), value={"TrainerControl": 3})
def test_any_value_of_any_key_is_gone_on_from_or_set_aside(
    tiny_base: Path,
    cut: Path,
    tmp_path_factory: pytest.TempPathFactory,
    place: tuple[str, str],
    value: object,
) -> None:
    folder, (name, key) = tmp_path_factory.getbasetemp() / "any-value", place
    newest = copy_of(cut, folder)
    if name.endswith(".json"):
        held = json.loads((newest / name).read_text()) | {key: value}
        (newest / name).write_text(json.dumps(held))
    else:
        with safe_globals():
            held = torch.load(newest / name, weights_only=True) | {key: value}
        torch.save(held, newest / name)
    sign(newest)
    try:
        train(tiny_base, folder, load_best=False, max_steps=7)
    except CardproofError as error:
        assert "checkpoint-4 cannot be used: " in str(error)
        assert "`dvc repro` resumes from the checkpoint before" in str(error)
        train(tiny_base, folder, load_best=False, max_steps=7)
