"""The mean of a model's weights over the last steps of its training.

Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization"; here
the weights of every step count, not those of every epoch.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.optim.swa_utils import get_swa_multi_avg_fn
from transformers import (
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

FILE = "average.safetensors"


class WeightAverage(TrainerCallback):  # type: ignore[misc]
    """Averages from a step on, and puts the mean into the model at the end.

    What is evaluated on the way are the weights as they are trained. The mean travels in the
    checkpoints: add this before whatever takes their sums.
    """

    def __init__(self, model: PreTrainedModel, last: float) -> None:
        self._model, self._last = model, last
        self._mean: dict[str, torch.Tensor] = {}
        self._count = 0
        self._add = get_swa_multi_avg_fn()  # type: ignore[no-untyped-call]

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Take back the mean of the checkpoint at this step, if the Trainer just loaded one."""
        self._mean = {name: torch.zeros_like(w) for name, w in self._weights().items()}
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}" / FILE
        if state.global_step and path.is_file():
            with safe_open(path, "pt") as file:
                self._count = json.loads(file.metadata()["count"])
                for name, mean in self._mean.items():
                    mean.copy_(file.get_tensor(name))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Add the weights after this step, if it is one of the last."""
        if state.global_step > state.max_steps - math.ceil(self._last * state.max_steps):
            self._add(list(self._mean.values()), list(self._weights().values()), self._count)
            self._count += 1

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Put the mean beside the weights."""
        if self._count and args.should_save:
            path = Path(args.output_dir) / f"checkpoint-{state.global_step}" / FILE
            save_file(self._mean, path, {"count": json.dumps(self._count)})

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Put the mean into the model, if this is the end and no signal cut the training off."""
        if self._count and state.global_step >= state.max_steps:
            for name, weight in self._weights().items():
                weight.copy_(self._mean[name])

    def _weights(self) -> dict[str, torch.Tensor]:
        """What is trained, without its history; asked for anew, for the Trainer moves the model."""
        return {n: p.detach() for n, p in self._model.named_parameters() if p.requires_grad}
