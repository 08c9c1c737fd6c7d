"""Learning rates that fall from layer to layer, from the head of a model down to its embeddings.

Howard and Ruder 2018 ("Universal Language Model Fine-tuning", section 3.2) call it discriminative
fine-tuning; Sun et al. 2019 ("How to Fine-Tune BERT for Text Classification?", section 4.2) decay
by 0.95 a layer.
"""

import re
from typing import Any

from torch.optim import Optimizer
from transformers import PreTrainedModel, Trainer, TrainingArguments

from cardproof.errors import CardproofError


def layer_wise_optimizer(
    model: PreTrainedModel, arguments: TrainingArguments, decay_names: list[str], decay: float
) -> Optimizer:
    """The Trainer's own optimizer, with a learning rate for each layer.

    Args:
        model: of any family that names its parameters as BERT and DistilBERT do.
        arguments: the recipe; its learning rate is that of the head and of the last layer.
        decay_names: parameters that weight decay applies to.
        decay: a layer's learning rate over that of the layer above it.

    Raises:
        CardproofError: the model's parameters are not named so.
    """
    layers = _count_layers(model)
    groups: dict[tuple[int, bool], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            below = layers - _height(name, layers, model)
            groups.setdefault((below, name in decay_names), []).append(parameter)
    kind, settings = Trainer.get_optimizer_cls_and_kwargs(arguments, model)
    # The head first: the rate in the log is that of the first group.
    return kind(  # type: ignore[no-any-return]
        [
            {
                "params": parameters,
                "lr": arguments.learning_rate * decay**below,
                "weight_decay": arguments.weight_decay if decays else 0.0,
            }
            for (below, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
        ],
        **settings,
    )


def _count_layers(model: PreTrainedModel) -> int:
    numbers = [_layer(name) for name, _ in model.named_parameters()]
    layers = [number for number in numbers if number is not None]
    if not layers:
        raise CardproofError(
            f"train.layer_decay: {type(model).__name__} has no numbered layers; set it to null"
        )
    return max(layers) + 1


def _layer(name: str) -> int | None:
    found = re.search(r"\.layer\.(\d+)\.", name)
    return int(found[1]) if found else None


def _height(name: str, layers: int, model: PreTrainedModel) -> int:
    """Of a parameter: 0 of the embeddings, 1 of the first layer, as the last one's of the head."""
    layer = _layer(name)
    if layer is not None:
        return layer + 1
    encoder = f"{model.base_model_prefix}."
    if name.startswith(f"{encoder}embeddings."):
        return 0
    if name.startswith(encoder) and not name.startswith(f"{encoder}pooler."):
        raise CardproofError(
            f"train.layer_decay: nothing tells how high {name} of {type(model).__name__} lies; "
            "set it to null"
        )
    return layers
