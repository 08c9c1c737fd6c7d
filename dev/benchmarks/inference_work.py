"""What an inference measurement does in its own process: from texts to probabilities, timed."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cardproof.model.devices import Device, choose_device, keep_freed_memory
from cardproof.model.loading import load_tokenizer, load_word_pieces, quiet_transformers
from cardproof.model.tokens import read_batches, write_tokens
from dev.benchmarks.models import random_classifier

Classify = Callable[[Sequence[str]], list[float]]  # texts to probabilities of being positive

WARM_UP = 10  # reviews


@dataclass(frozen=True)
class Settings:
    """What all variants of an inference measurement share.

    Attributes:
        reviews: a parquet file; the first `WARM_UP` of them warm up.
        word_pieces: a folder with the tokenizer.
        batch_size: reviews a padded batch.
        max_length: tokens that a review is cut to.
        sizes: of the model, where not DistilBERT's own.
    """

    reviews: str
    word_pieces: str
    batch_size: int
    max_length: int
    sizes: dict[str, int]


def time_inference(variant: str, precision: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Classify all reviews but the first few.

    Args:
        variant: "pipeline" (one text a call), "padded" (batches) or "ours".
        precision: "fp32" or "bf16".
        settings: of `Settings`.

    Returns:
        `seconds` from texts to probabilities, `reviews`, and the `probabilities`.
    """
    shared = Settings(**settings)
    texts = [text for batch, _ in read_batches(Path(shared.reviews)) for text in batch]
    make = {"pipeline": _pipeline, "padded": _padded, "ours": _ours}[variant]
    quiet_transformers()
    if variant == "ours":
        keep_freed_memory()
    device = choose_device("bf16" if precision == "bf16" else "fp32")
    classify = make(random_classifier(shared.sizes).to(device.name).eval(), device, shared)
    classify(texts[:WARM_UP])
    start = time.perf_counter()
    probabilities = classify(texts[WARM_UP:])
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "reviews": len(texts) - WARM_UP, "probabilities": probabilities}


def _pipeline(model: Any, device: Device, settings: Settings) -> Classify:
    """The cards' snippet: pipeline("sentiment-analysis") and a call for each text.

    Truncation is asked for, because without it a review of more than 512 tokens is an error.
    """
    from transformers import pipeline

    tokenizer = load_tokenizer(Path(settings.word_pieces))
    sentiment = pipeline("sentiment-analysis", model=model, tokenizer=tokenizer, device=device.name)

    def classify(texts: Sequence[str]) -> list[float]:
        answers = [
            sentiment(text, truncation=True, max_length=settings.max_length)[0] for text in texts
        ]
        return [a["score"] if a["label"] == "LABEL_1" else 1 - a["score"] for a in answers]

    return classify


def _padded(model: Any, device: Device, settings: Settings) -> Classify:
    """Batches in the order the texts come in, padded to the longest of each."""
    tokenizer = load_tokenizer(Path(settings.word_pieces))

    def classify(texts: Sequence[str]) -> list[float]:
        found: list[float] = []
        with torch.inference_mode(), device.autocast():
            for i in range(0, len(texts), settings.batch_size):
                batch = tokenizer(
                    list(texts[i : i + settings.batch_size]),
                    padding=True,
                    truncation=True,
                    max_length=settings.max_length,
                    return_tensors="pt",
                ).to(device.name)
                found += model(**batch).logits.float().softmax(-1)[:, 1].tolist()
        return found

    return classify


def _ours(model: Any, device: Device, settings: Settings) -> Classify:
    """What the stages tokenize and evaluate do."""
    from cardproof.evaluation.inference import predict_logits

    tokenizer = load_word_pieces(Path(settings.word_pieces))

    def classify(texts: Sequence[str]) -> list[float]:
        with tempfile.TemporaryDirectory() as folder:
            batches = [(texts, [0] * len(texts))]
            store = write_tokens(batches, tokenizer, settings.max_length, Path(folder))
            logits = predict_logits(model, store, settings.batch_size, device, pad_id=0)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: list[float] = (exponentials[:, 1] / exponentials.sum(axis=1)).tolist()
        return found

    return classify
