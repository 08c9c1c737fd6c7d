"""Running reviews through a trained classifier: logits of many, and the time that one takes."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cardproof.model.devices import Device
from cardproof.model.tokens import TokenStore
from cardproof.model.unpadded.batches import (
    batches_by_rows,
    batches_by_tokens,
    concatenate_rows,
    pad_rows,
)
from cardproof.model.unpadded.check import ROWS, why_unlike
from cardproof.model.unpadded.model import describe_batches, unpadded_logits, why_padded

BATCH_TOKENS = 4096  # of a batch without padding
WARM_UP_CALLS = 10
TIMED_CALLS = 100


def predict_logits(
    model: PreTrainedModel, store: TokenStore, batch_size: int, device: Device, pad_id: int
) -> NDArray[np.float32]:
    """Logits of every review of `store`, in its order; shape (reviews, 2).

    Without padding where the model's family and the device allow it, in batches of about
    `BATCH_TOKENS` tokens; else in padded batches of `batch_size` reviews of like length.
    """
    model = model.to(device.name).eval()
    logits = np.empty((len(store), 2), dtype=np.float32)
    first = [store[i] for i in range(min(ROWS, len(store)))]
    why = why_padded(model) or why_unlike(model, first, device.dtype, gradients=False)
    print(describe_batches(why))
    batches = (
        batches_by_rows(store.lengths, batch_size)
        if why
        else batches_by_tokens(store.lengths, BATCH_TOKENS)
    )
    with torch.inference_mode(), device.autocast():
        for rows in tqdm(batches, desc="evaluate", unit=" batches"):
            ids = [store.row(int(row)) for row in rows]
            batch = pad_rows(ids, pad_id) if why else concatenate_rows(ids)
            batch = {k: v.to(device.name) for k, v in batch.items()}
            outputs = model(**batch).logits if why else unpadded_logits(model, **batch)
            logits[rows] = outputs.float().cpu().numpy()
    return logits


def time_per_example(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    max_length: int,
    device: Device,
) -> dict[str, float]:
    """Milliseconds from a text to its label, one review a call, as the cards' snippets do it.

    The first calls warm up and are not counted. At most 100 reviews are timed.

    Returns:
        `milliseconds_per_example` (mean), `milliseconds_median` and `milliseconds_p95`.
    """
    model = model.to(device.name).eval()

    def classify(text: str) -> int:
        inputs = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
        outputs = model(**inputs.to(device.name))
        return int(outputs.logits.argmax(dim=-1).item())  # .item() waits for the device

    with torch.inference_mode(), device.autocast():
        for text in texts[:WARM_UP_CALLS]:
            classify(text)
        timed = np.array([_milliseconds(classify, text) for text in texts[:TIMED_CALLS]])
    return {
        "milliseconds_per_example": float(timed.mean()),
        "milliseconds_median": float(np.median(timed)),
        "milliseconds_p95": float(np.quantile(timed, 0.95)),
    }


def _milliseconds(call: Callable[[Any], object], argument: object) -> float:
    start = time.perf_counter()
    call(argument)
    return 1000 * (time.perf_counter() - start)
