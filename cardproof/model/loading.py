"""Loading checkpoints in the hub's format: tokenizers and classifiers, local files only."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardproof.errors import CardproofError
from cardproof.imports import import_without
from cardproof.model.foreign import is_quantised, safe_to_load

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


# transformers imports these wherever they are installed, for what is not done here with them:
# data sets of its own, losses of object detection, SageMaker. That is a quarter of its import.
_UNUSED = ("datasets", "scipy", "sklearn", "pandas", "boto3")


class CheckpointError(CardproofError):
    """A checkpoint that cannot be loaded."""


def import_transformers() -> None:
    """Import transformers' Trainer and models as if the packages that it only may use were absent.

    They can be imported afterwards. Call it before anything else imports transformers.
    """
    for name in ("transformers.trainer", "cardproof.model.unpadded.model"):
        import_without(_UNUSED, name)


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Load the base's own tokenizer, from tokenizer.json or, without one, from vocab.txt.

    Raises:
        CheckpointError: the folder holds no tokenizer that transformers can load.
    """
    from transformers import AutoTokenizer

    try:
        with safe_to_load(folder) as safe:
            return AutoTokenizer.from_pretrained(
                safe, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # whatever it and those below it raise for a faulty file
        raise CheckpointError(f"{folder}: no tokenizer can be loaded from it: {error}") from error


def load_word_pieces(folder: Path) -> "Tokenizer":
    """Load the same tokenizer without transformers, which would import torch; it truncates nothing.

    Raises:
        CheckpointError: the folder holds no tokenizer that can be loaded so.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file)) if file.is_file() else _word_pieces(folder)
    except Exception as error:  # the library raises nothing more precise
        raise CheckpointError(f"{folder}: no tokenizer can be loaded from it: {error}") from error
    # A checkpoint may come with the truncation and the padding of the one who saved it.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _word_pieces(folder: Path) -> "Tokenizer":
    """BERT's tokenizer from vocab.txt and the settings of tokenizer_config.json."""
    from tokenizers import Tokenizer
    from tokenizers.implementations import BertWordPieceTokenizer

    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    tokenizer = BertWordPieceTokenizer(
        str(folder / "vocab.txt"),
        lowercase=config.get("do_lower_case", True),
        strip_accents=config.get("strip_accents"),
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
    )
    return Tokenizer.from_str(tokenizer.to_str())


def load_classifier(
    folder: Path, seed: int = 0, labels: list[str] | None = None
) -> "PreTrainedModel":
    """Load a base with a two-class head, its weights in fp32.

    A head that the base lacks is initialised with `seed`; one with more or fewer classes is
    re-initialised.

    Args:
        folder: a checkpoint in the hub's format, with safetensors weights.
        seed: of the new head's weights, where there is one.
        labels: names of classes 0 and 1; None keeps those of the base's config.

    Raises:
        CheckpointError: the folder holds no checkpoint that transformers can load, or its weights
            are not of the sizes that its config names, or are quantised.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, set_seed

    if is_quantised(folder):
        raise CheckpointError(
            f"{folder}/config.json has a quantization_config: its weights are rounded, and code "
            "from elsewhere would unpack them; name the base that they were made from"
        )
    set_seed(seed)
    names: dict[str, Any] = {"num_labels": 2}
    if labels:
        names["id2label"] = dict(enumerate(labels))
        names["label2id"] = {label: i for i, label in enumerate(labels)}
    try:
        with safe_to_load(folder) as safe:
            model, found = AutoModelForSequenceClassification.from_pretrained(
                safe,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,  # whatever config.json says: train.precision is what counts
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **names,
            )
    except Exception as error:  # likewise
        raise CheckpointError(f"{folder}: no classifier can be loaded from it: {error}") from error
    for name, stored, expected in sorted(found["mismatched_keys"]):
        if name.startswith(f"{model.base_model_prefix}."):
            raise CheckpointError(
                f"{folder}: {name} has the size {tuple(stored)} and config.json wants "
                f"{tuple(expected)}; the two are not of one model"
            )
    return model


def quiet_transformers() -> None:
    """Turn off the library's progress bars and reports on loading and saving: nothing new here."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
