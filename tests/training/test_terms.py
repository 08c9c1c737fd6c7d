"""A recipe in the Trainer's terms, and what decides without a training: shares, hosts, seconds."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerControl

from cardproof.model.devices import Device
from cardproof.training import checkpoint_files, checkpoint_folder, checkpointing
from cardproof.training.distributed import launch
from cardproof.training.distributed.batches import (
    PerRankDropout,
    share_of,
    sharing_rows,
    take_rows,
)
from cardproof.training.distributed.launch import (
    SINGLE_PROCESS,
    Process,
    ProcessesError,
    configure_process,
    this_process,
)
from cardproof.training.distributed.process_group import (
    all_gather,
    any_process,
    barrier,
    is_distributed,
    process_group,
)
from cardproof.training.logs import QuietProgress, TrainingTables, curve_rows, epoch_rows
from cardproof.training.trainer import (
    TrainingError,
    _accuracy,
    _check_end,
    _last_resumable_step,
    _sharing,
    curve_interval,
    training_arguments,
)
from tests.conftest import ROOT
from tests.training.test_trainer import CPU, recipe, train


def test_a_recipe_is_said_in_the_trainers_terms(tmp_path: Path) -> None:
    settings = recipe(
        learning_rate=3e-5, scheduler="cosine", warmup_steps=7, weight_decay=0.02,
        betas=[0.8, 0.95], epsilon=1e-6, batch_size=12, epochs=2.5, max_steps=40, seed=11,
    )  # fmt: skip
    found = training_arguments(settings, 24, CPU, True, tmp_path)
    assert (found.learning_rate, found.weight_decay, found.warmup_steps) == (3e-5, 0.02, 7)
    assert (found.adam_beta1, found.adam_beta2, found.adam_epsilon) == (0.8, 0.95, 1e-6)
    assert (found.per_device_train_batch_size, found.per_device_eval_batch_size) == (12, 24)
    assert (found.num_train_epochs, found.max_steps, found.seed) == (2.5, 40, 11)
    assert found.lr_scheduler_type == "cosine"
    assert found.output_dir == str(tmp_path)
    assert (found.eval_strategy, found.save_strategy) == ("epoch", "epoch")
    assert found.load_best_model_at_end
    assert (found.metric_for_best_model, found.greater_is_better) == ("loss", False)


def test_what_no_recipe_says_is_fixed(tmp_path: Path) -> None:
    found = training_arguments(recipe(load_best=False), 8, CPU, False, tmp_path)
    assert (found.eval_strategy, found.save_strategy) == ("no", "no")
    assert found.full_determinism
    assert not found.logging_nan_inf_filter  # else the Trainer shows 0 for a loss that is NaN
    assert not found.remove_unused_columns  # by the signature of a forward that is replaced
    assert not found.disable_tqdm
    assert found.report_to == []
    assert (found.bf16, found.fp16, found.use_cpu) == (False, False, True)
    assert found.n_gpu <= 1
    half = training_arguments(recipe(), 8, Device("cpu", "bf16", "bf16", ""), True, tmp_path)
    assert (half.bf16, half.fp16) == (True, False)


def test_several_processes_read_whole_batches_and_each_host_saves() -> None:
    for nodes in (1, 2):
        found = _sharing(CPU, nodes)
        assert found["save_on_each_node"] == (nodes > 1)
        assert not found["ddp_find_unused_parameters"]
        assert not found["average_tokens_across_devices"]  # a share's loss is weighted already
        assert not found["accelerator_config"]["even_batches"]  # no row is taken twice
    assert found["ddp_backend"] == "gloo"
    assert _sharing(Device("cuda", "fp32", "fp32", ""), 1)["ddp_backend"] == "nccl"


@pytest.mark.parametrize(
    ("window", "every"), [(49, 1), (50, 1), (99, 1), (100, 2), (150, 3), (250, 5), (1_000, 20)]
)
def test_a_window_has_fifty_points_of_the_curve(window: int, every: int) -> None:
    assert curve_interval(window) == every


@pytest.mark.parametrize(
    ("max_steps", "epochs", "last"),
    [
        (-1, 3.0, 30), (0, 3.0, 30), (-1, 2.5, 24), (-1, 2.05, 20), (25, 9.0, 24), (20, 9.0, 20),
        (1, 1.0, 0),
    ],
)  # fmt: skip
def test_a_run_that_ends_within_an_epoch_is_resumed_from_before_its_end(
    tmp_path: Path, max_steps: int, epochs: float, last: int
) -> None:
    settings = recipe(max_steps=max_steps or -1, epochs=epochs)
    arguments = training_arguments(settings, 8, CPU, True, tmp_path)
    arguments.max_steps = max_steps
    assert _last_resumable_step(arguments, 10) == last


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
def test_only_a_finite_loss_is_an_end(tmp_path: Path, loss: float) -> None:
    arguments = training_arguments(recipe(), 8, CPU, True, tmp_path)
    _check_end(None, 9, 0.3, arguments)
    with pytest.raises(TrainingError, match=r"lower train\.learning_rate \(0\.003\)"):
        _check_end(None, 9, loss, arguments)


def test_accuracy_is_the_share_of_rows_whose_larger_logit_is_their_labels() -> None:
    prediction: Any = type("Of", (), {
        "predictions": np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.4], [5.0, 1.0]]),
        "label_ids": np.array([1, 0, 0, 0]),
    })  # fmt: skip
    assert _accuracy(prediction) == {"accuracy": 0.75}


def test_a_training_checks_the_unpadded_path_first_and_gives_way_to_padded_batches(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("cardproof.training.trainer.why_unlike", lambda *_: "its logits differ")
    train(tiny_base, tmp_path, recipe(max_steps=1, load_best=False))
    assert "its logits differ" in capsys.readouterr().out


# -- tables ----------------------------------------------------------------------------------------


def test_the_window_of_an_epochs_loss_begins_after_the_one_before() -> None:
    log = [{"loss": float(step), "step": step} for step in range(1, 13)]
    losses = {end: epoch_rows(log, 4, 8, [end])[0] for end in (3, 4, 7, 8, 12)}
    assert {end: row["training_loss"] for end, row in losses.items()} == {
        3: None, 4: 2.5, 7: 2.5, 8: 6.5, 12: 10.5,
    }  # fmt: skip
    assert [row["epoch"] for row in losses.values()] == [0.375, 0.5, 0.875, 1.0, 1.5]
    assert epoch_rows(log, 4, 3, [7])[0]["epoch"] == 2.3333  # as a card prints it


def test_a_curve_has_a_row_for_each_loss_and_nan_for_what_is_not_logged() -> None:
    log = [{"loss": 0.5, "step": 1, "epoch": 0.1}, {"eval_loss": 0.4, "step": 1}]
    (row,) = curve_rows(log)
    assert (row["step"], row["training_loss"]) == (1, 0.5)
    assert np.isnan(float(row["gradient_norm"] or 0))


def test_the_newest_loss_stands_at_the_progress_bar() -> None:
    shown: list[str] = []

    def set_postfix(loss: str) -> None:
        shown.append(loss)

    progress, unused = QuietProgress(), [None] * 3
    first: Any = (*unused, {"loss": 0.51234})
    scores: Any = (*unused, {"eval_loss": 0.4})
    progress.on_log(*first)  # this process has no bar
    progress.training_bar = SimpleNamespace(set_postfix=set_postfix)
    progress.on_log(*first)
    progress.on_log(*scores)
    assert shown == ["0.5123"]


def test_the_row_of_an_epoch_is_there_as_soon_as_the_next_begins(tmp_path: Path) -> None:
    tables = TrainingTables(tmp_path / "curve.csv", tmp_path / "epochs.csv", 4, 8)
    log = [{"loss": 0.5, "step": step} for step in range(1, 9)]
    nothing: Any = None
    for step, rows in ((7, 0), (8, 1)):
        state: Any = SimpleNamespace(global_step=step, max_steps=24, log_history=log)
        tables.on_epoch_begin(nothing, state, nothing)
        assert len((tmp_path / "epochs.csv").read_text().splitlines()) == 1 + rows


# -- checkpoints -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("spent", "pause"), [(0.0, 5.0), (0.1, 5.0), (0.2, 10.0), (3.0, 150.0)])
def test_saving_takes_a_fiftieth_of_the_time(
    monkeypatch: pytest.MonkeyPatch, spent: float, pause: float
) -> None:
    monkeypatch.delenv("CARDPROOF_SAVE_SECONDS", raising=False)
    assert checkpointing._seconds_to_next_save(spent) == pytest.approx(pause)
    monkeypatch.setenv("CARDPROOF_SAVE_SECONDS", "0")
    assert checkpointing._seconds_to_next_save(spent) == 0


def test_the_first_save_waits_as_long_as_one_that_takes_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CARDPROOF_SAVE_SECONDS", raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    keeper = checkpointing.CheckpointKeeper(Any, 10)
    assert (keeper.seconds_before, keeper._spent, keeper._save_due) == (0, 0, 105)


def keeper_of(steps: int) -> tuple[checkpointing.CheckpointKeeper, Any]:
    keeper = checkpointing.CheckpointKeeper(Any, steps)
    keeper._save_due = float("inf")
    return keeper, type("Arguments", (), {"device": torch.device("cpu")})


def test_a_signal_within_an_epoch_saves_and_stops_and_its_end_evaluates_first() -> None:
    state: Any = type("State", (), {"global_step": 7, "max_steps": 30})
    keeper, arguments = keeper_of(10)
    control = TrainerControl()
    keeper.on_step_end(arguments, state, control)
    assert not control.should_save
    keeper._signalled = True
    keeper.on_step_end(arguments, state, control)
    assert (control.should_save, control.should_training_stop, keeper.stopped_at) == (True, True, 7)
    control.should_evaluate = control.should_log = True
    keeper.on_epoch_end(arguments, state, control)  # the Trainer ends the epoch, which has no end
    assert not (control.should_evaluate or control.should_save or control.should_log)


@pytest.mark.parametrize(("step", "stops"), [(10, True), (30, False)])
def test_a_signal_at_the_end_of_an_epoch_stops_unless_it_is_the_last(
    step: int, stops: bool
) -> None:
    state: Any = type("State", (), {"global_step": step, "max_steps": 30})
    keeper, arguments = keeper_of(10)
    keeper._signalled = True
    control = TrainerControl()
    keeper.on_step_end(arguments, state, control)
    assert not control.should_training_stop
    keeper.on_epoch_end(arguments, state, control)
    assert (control.should_training_stop, control.should_save) == (stops, stops)
    assert keeper.stopped_at == (step if stops else None)


def test_a_save_that_is_due_comes_within_the_epoch_and_not_at_its_end() -> None:
    for step, saves in ((9, True), (10, False)):
        keeper, arguments = keeper_of(10)
        keeper._save_due = 0.0
        control = TrainerControl()
        state: Any = type("State", (), {"global_step": step, "max_steps": 30})
        keeper.on_step_end(arguments, state, control)
        assert (control.should_save, control.should_training_stop) == (saves, False)
        assert keeper.stopped_at is None


def test_checkpoints_of_a_copy_lie_in_the_original_repository(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert checkpoint_folder.checkpoint_root() == Path(".dvc/tmp/cardproof")
    monkeypatch.setenv("DVC_ROOT", "/original")
    assert checkpoint_folder.checkpoint_root() == Path("/original/.dvc/tmp/cardproof")


def test_an_error_is_said_in_its_first_line() -> None:
    assert checkpoint_files.in_a_line(ValueError("\nfirst\nsecond")) == "ValueError: first"


def test_the_step_of_a_checkpoint_is_in_its_name() -> None:
    assert checkpoint_files.step_of(Path("checkpoint-120")) == 120
    assert checkpoint_files.step_of(Path("checkpoint-")) == -1


# -- processes -------------------------------------------------------------------------------------


def test_a_process_is_what_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert this_process() == SINGLE_PROCESS == Process(0, 0, 1, 0, 1)
    said = {"RANK": 5, "LOCAL_RANK": 1, "WORLD_SIZE": 8, "GROUP_RANK": 2, "GROUP_WORLD_SIZE": 4}
    for name, value in said.items():
        monkeypatch.setenv(name, str(value))
    assert this_process() == SINGLE_PROCESS
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert this_process() == Process(rank=5, local_rank=1, count=8, node=2, nodes=4)


def test_as_many_processes_as_the_recipe_says() -> None:
    configure_process(SINGLE_PROCESS, 1)
    with pytest.raises(ProcessesError, match=r"1 processes were started and .* is 2"):
        configure_process(SINGLE_PROCESS, 2)


@pytest.mark.parametrize(
    ("processes", "nodes", "gpus", "here"),
    [
        (4, "1", 0, 4), (4, "2", 0, 2), (4, "4", 0, 1), (2, "1", 2, 2), (2, "1", 3, 2),
        (3, "2", 0, None), (2, "0", 0, None), (2, "many", 0, None), (2, "1", 1, None),
    ],
)  # fmt: skip
def test_processes_are_spread_evenly_over_hosts_and_each_has_a_gpu(
    monkeypatch: pytest.MonkeyPatch, processes: int, nodes: str, gpus: int, here: int | None
) -> None:
    monkeypatch.setenv("PET_NNODES", nodes)
    monkeypatch.setenv("OMP_NUM_THREADS", "unset")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    if here is None:
        with pytest.raises(ProcessesError, match=r"spread evenly|it has 1"):
            launch._local_processes(processes)
        return
    assert launch._local_processes(processes) == here
    assert os.environ["OMP_NUM_THREADS"] == str(6 // here)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process of its parent's end")
def test_a_process_is_killed_with_its_launcher() -> None:
    script = (
        "import ctypes\nfrom cardproof.training.distributed.launch import *\n"
        "configure_process(Process(0, 0, 2, 0, 1), 2)\nnumber = ctypes.c_int()\n"
        "ctypes.CDLL(None).prctl(2, ctypes.byref(number))\nprint(number.value)\n"
    )  # 2 is PR_GET_PDEATHSIG
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, cwd=ROOT, check=True)
    assert int(told.stdout) == signal.SIGKILL


def test_more_processes_than_cores_have_a_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PET_NNODES", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "unset")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert launch._local_processes(3) == 3
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_a_process_that_was_killed_and_one_that_failed_are_told_apart() -> None:
    def error(code: int) -> Any:
        failure = type("Failure", (), {"exitcode": code, "signal_name": lambda: "SIGKILL"})
        return type("Error", (), {"get_first_failure": lambda: (1, failure)})

    assert "process 1 of 2 was ended by SIGKILL" in launch._why_failed(error(-9), 2)
    assert "process 1 of 2 failed with exit code 3" in launch._why_failed(error(3), 2)
    assert "failed with exit code 0" in launch._why_failed(error(0), 2)


def test_a_device_that_knows_no_other_processes_trains_in_one() -> None:
    with process_group(SINGLE_PROCESS, "mps"):
        assert not is_distributed()
    pair = Process(rank=0, local_rank=0, count=2, node=0, nodes=1)
    message = r"mps trains in one process; set train\.processes=1"
    with pytest.raises(ProcessesError, match=message), process_group(pair, "mps"):
        pass


def test_a_single_process_only_hears_itself() -> None:
    assert all_gather("x") == ["x"]
    assert any_process(True, False, device=torch.device("cpu")) == [True, False]
    barrier()


@pytest.mark.parametrize(("rank", "seed"), [(0, 3), (1, 12), (2, 13)])
def test_each_further_process_has_dropout_masks_of_its_own(rank: int, seed: int) -> None:
    torch.manual_seed(3)
    arguments: Any = SimpleNamespace(process_index=rank, seed=11)
    state: Any = None
    PerRankDropout().on_train_begin(arguments, state, TrainerControl())
    assert torch.initial_seed() == seed


def test_shares_are_in_the_order_of_the_ranks() -> None:
    assert [share_of(7, rank, 3) for rank in range(3)] == [slice(0, 2), slice(2, 4), slice(4, 7)]
    batch = {"input_ids": torch.arange(6), "position_ids": torch.arange(6),
             "cu_seqlens": torch.tensor([0, 1, 4, 6])}  # fmt: skip
    taken = take_rows(batch, slice(1, 3))
    assert taken["input_ids"].tolist() == [1, 2, 3, 4, 5]
    assert taken["cu_seqlens"].tolist() == [0, 3, 5]


class Doubling(torch.nn.Module):
    """Two logits of each row: its two inputs, doubled by a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, inputs: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=inputs * self.weight)


@pytest.mark.parametrize("rows", [1, 2, 5, 6])
def test_losses_of_the_shares_have_the_mean_and_the_gradient_of_the_whole_batch(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = torch.randn(rows, 2, generator=torch.Generator().manual_seed(rows))
    labels = torch.arange(rows) % 2
    whole = Doubling()
    loss = torch.nn.functional.cross_entropy(whole(inputs).logits, labels)
    loss.backward()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    shares, gradients = [], []
    for rank in range(3):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        model: Any = Doubling().train()
        with sharing_rows(model):
            share = model.forward(labels=labels, inputs=inputs, num_items_in_batch=rows)
        share.loss.backward()
        shares.append(share.loss.item())
        gradients.append(model.weight.grad.item())
    assert np.mean(shares) == pytest.approx(loss.item(), rel=1e-6)
    assert whole.weight.grad is not None
    assert np.mean(gradients) == pytest.approx(whole.weight.grad.item(), rel=1e-5)
