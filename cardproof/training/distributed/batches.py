"""A global batch in several processes: each runs its share of the rows.

Every process reads every batch whole, in the order of a single process, and runs some of its rows.
A loss is the sum over a process's rows, weighted so that the mean over the processes, which DDP
takes of the gradients, is the mean over the rows of the whole batch however they are shared out.
So the last, partial batch of an epoch needs no rows of another one to fill it up.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import BatchSamplerShard
from safetensors.torch import save_model
from torch import distributed
from torch.nn import functional
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import SAFE_WEIGHTS_NAME

Batch = Mapping[str, torch.Tensor]


def share_of(rows: int, rank: int, count: int) -> slice:
    """The rows of a batch that process `rank` of `count` runs; none if there are too few."""
    return slice(rows * rank // count, rows * (rank + 1) // count)


def take_rows(batch: Batch, rows: slice) -> dict[str, torch.Tensor]:
    """Some rows of a batch, unpadded (it has `cu_seqlens`) or padded."""
    if "cu_seqlens" not in batch:
        return {name: tensor[rows] for name, tensor in batch.items()}
    ends = batch["cu_seqlens"][rows.start : rows.stop + 1]
    tokens = slice(int(ends[0]), int(ends[-1]))
    taken = {name: tensor[tokens] for name, tensor in batch.items() if name != "cu_seqlens"}
    return {**taken, "cu_seqlens": ends - ends[0]}


@contextmanager
def sharing_rows(model: PreTrainedModel) -> Iterator[None]:
    """Let `model` take whole batches and run this process's share of them, while this is open.

    In training it returns the loss of the share, weighted. In evaluation, the logits of all rows
    and their loss: each process has them.
    """
    rank, count = distributed.get_rank(), distributed.get_world_size()
    run = model.forward

    def forward(labels: torch.Tensor, **batch: Any) -> SequenceClassifierOutput:
        batch.pop("num_items_in_batch", None)
        share = share_of(len(labels), rank, count)
        # DDP waits for gradients of every process: without a row, those of nothing out of one.
        rows = share if share.stop > share.start else slice(0, 1)
        logits = run(**take_rows(batch, rows)).logits[: share.stop - share.start]
        if model.training:
            total = functional.cross_entropy(logits, labels[share], reduction="sum")
            return SequenceClassifierOutput(loss=total * (count / len(labels)), logits=logits)
        logits = _gather(logits, len(labels), count)
        return SequenceClassifierOutput(
            loss=functional.cross_entropy(logits, labels), logits=logits
        )

    model.forward = forward
    try:
        yield
    finally:
        vars(model).pop("forward", None)


def _gather(logits: torch.Tensor, rows: int, count: int) -> torch.Tensor:
    """The logits of all rows, out of those of each process's share."""
    shares = [share_of(rows, rank, count) for rank in range(count)]
    sizes = [share.stop - share.start for share in shares]
    padded = functional.pad(logits, (0, 0, 0, max(sizes) - len(logits)))
    gathered = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(gathered, padded)
    return torch.cat([of[:size] for of, size in zip(gathered, sizes, strict=True)])


class WholeBatchTrainer(Trainer):  # type: ignore[misc]
    """A Trainer of which every process reads every batch whole, for `sharing_rows`."""

    def get_train_dataloader(self) -> Any:
        """The training batches in the order of a single process."""
        return _unsharded(super().get_train_dataloader())

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """The validation batches of a single process."""
        return _unsharded(super().get_eval_dataloader(eval_dataset))

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate; the model's outputs are those of all processes already."""
        self.gather_function = self._of_batch
        return super().evaluation_loop(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save on every host: transformers writes the weights on the first one alone."""
        super().save_model(output_dir, _internal_call)
        if self.args.should_save and self.args.process_index > 0:
            folder = Path(output_dir or self.args.output_dir)
            save_model(self.model, str(folder / SAFE_WEIGHTS_NAME), {"format": "pt"})

    def _of_batch(self, values: torch.Tensor) -> torch.Tensor:
        """What accelerate's gather_for_metrics does in a single process."""
        state = self.accelerator.gradient_state
        return values[: state.remainder] if state.end_of_dataloader and state.remainder else values


def _unsharded(loader: Any) -> Any:
    """Undo the split of a prepared loader's batches over the processes."""
    shard = loader.batch_sampler
    if not isinstance(shard, BatchSamplerShard):
        raise TypeError(f"accelerate gave a {type(shard).__name__} to {loader}, not a shard")
    shard.num_processes, shard.process_index = 1, 0
    return loader


class PerRankDropout(TrainerCallback):  # type: ignore[misc]
    """Gives each rank dropout masks of its own; rank 0 has those of a single process."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Seed anew; the order of the rows is decided by now, and a checkpoint is read later."""
        if args.process_index > 0:
            torch.manual_seed(args.seed + args.process_index)
