"""Inference speed: from texts to probabilities, in turns on the same reviews."""

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import pipeline

from cardproof.evaluation.inference import predict_logits
from cardproof.model.devices import Device, choose_device, keep_freed_memory
from cardproof.model.loading import load_tokenizer, load_word_pieces, quiet_transformers
from cardproof.model.tokens import read_batches, write_tokens
from dev.benchmarks.bench import TINY, Bench, random_classifier, write_reviews
from dev.benchmarks.processes import PEAKS, BenchmarkError, Outcome, Task, run_in_turns
from dev.benchmarks.results import spread

VARIANTS = ("pipeline_fp32", "padded_fp32", "padded_bf16", "ours_fp32", "ours_bf16")
BATCH = 32
WARM_UP = 10  # reviews
AGREEMENT = 0.02  # largest difference of a probability that bf16 may make

Classify = Callable[[Sequence[str]], list[float]]  # texts to probabilities of being positive


def measure(bench: Bench) -> dict[str, Any]:
    """Settings and figures: reviews a second of each variant, tokenizing included, and memory."""
    scale, path = bench.scale, bench.folder / "inference.parquet"
    write_reviews(bench.test, scale.reviews + WARM_UP, path)
    shared = {"reviews": str(path), "tokenizer": str(bench.tokenizer),
              "max_length": scale.max_length, "sizes": scale.sizes}  # fmt: skip
    tasks = {v: Task(time_inference, {"variant": v, **shared}, bench.folder) for v in VARIANTS}
    outcomes = run_in_turns(tasks, scale.repeats, scale == TINY)
    return {
        "settings": {"reviews": scale.reviews, "batch_size": BATCH, "max_length": scale.max_length},
        "figures": {
            v: _figures(scale.reviews, outcomes[VARIANTS[0]], outcomes[v]) for v in VARIANTS
        },
    }


def _figures(reviews: int, pipeline: list[Outcome], found: list[Outcome]) -> dict[str, Any]:
    """A variant's figures. Ratios are taken within a repeat: what drifts drops out.

    Raises:
        BenchmarkError: its probabilities differ so much that it did not do the same work.
    """
    pairs = list(zip(pipeline, found, strict=True))
    difference = max(
        float(np.abs(np.subtract(p["probabilities"], f["probabilities"])).max()) for p, f in pairs
    )
    if difference > AGREEMENT:
        raise BenchmarkError(f"probabilities differ from the pipeline's by up to {difference:.3f}")
    return {
        "reviews_per_second": spread([reviews / f["seconds"] for f in found]),
        "over_pipeline": spread([p["seconds"] / f["seconds"] for p, f in pairs]),
        "largest_difference": difference,
        **{peak: spread([f[peak] for f in found]) for peak in PEAKS},
    }


def time_inference(
    variant: str, reviews: str, tokenizer: str, max_length: int, sizes: dict[str, int]
) -> dict[str, Any]:
    """Classify all reviews of a parquet file but the first few, which warm up.

    Returns:
        `seconds` from texts to probabilities, and the `probabilities`.
    """
    texts = [text for batch, _ in read_batches(Path(reviews)) for text in batch]
    how, _, precision = variant.partition("_")
    quiet_transformers()
    if how == "ours":
        keep_freed_memory()
    device = choose_device("bf16" if precision == "bf16" else "fp32")
    model = random_classifier(sizes).to(device.name).eval()
    make = {"pipeline": _pipeline, "padded": _padded, "ours": _ours}[how]
    classify = make(model, device, Path(tokenizer), max_length)
    classify(texts[:WARM_UP])
    start = time.perf_counter()
    probabilities = classify(texts[WARM_UP:])
    return {"seconds": time.perf_counter() - start, "probabilities": probabilities}


def _pipeline(model: Any, device: Device, folder: Path, max_length: int) -> Classify:
    """The cards' snippet: pipeline("sentiment-analysis") and a call for each text.

    Truncation is asked for, because without it a review of more than 512 tokens is an error.
    """
    tokenizer = load_tokenizer(folder)
    sentiment = pipeline("sentiment-analysis", model=model, tokenizer=tokenizer, device=device.name)

    def classify(texts: Sequence[str]) -> list[float]:
        answers = [sentiment(text, truncation=True, max_length=max_length)[0] for text in texts]
        return [a["score"] if a["label"] == "LABEL_1" else 1 - a["score"] for a in answers]

    return classify


def _padded(model: Any, device: Device, folder: Path, max_length: int) -> Classify:
    """Batches in the order the texts come in, padded to the longest of each."""
    encode = partial(load_tokenizer(folder), padding=True, truncation=True, max_length=max_length,
                     return_tensors="pt")  # fmt: skip

    @torch.inference_mode()
    def classify(texts: Sequence[str]) -> list[float]:
        found: list[float] = []
        with device.autocast():
            for i in range(0, len(texts), BATCH):
                logits = model(**encode(list(texts[i : i + BATCH])).to(device.name)).logits
                found += logits.float().softmax(-1)[:, 1].tolist()
        return found

    return classify


def _ours(model: Any, device: Device, folder: Path, max_length: int) -> Classify:
    """What the stages tokenize and evaluate do."""
    tokenizer = load_word_pieces(folder)

    def classify(texts: Sequence[str]) -> list[float]:
        with tempfile.TemporaryDirectory() as store:
            batches = [(texts, [0] * len(texts))]
            tokens = write_tokens(batches, tokenizer, max_length, Path(store))
            logits = predict_logits(model, tokens, BATCH, device, pad_id=0)
        return [float(p) for p in 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))]

    return classify
