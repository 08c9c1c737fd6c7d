"""Running a classifier: how its time is taken, and that batches change nothing."""

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cardproof.evaluation import inference
from cardproof.evaluation.inference import predict_logits, time_per_example
from cardproof.model.devices import Device
from cardproof.model.loading import load_classifier, load_tokenizer, load_word_pieces
from cardproof.model.tokens import write_tokens
from cardproof.model.unpadded.batches import concatenate_rows

CPU = Device("cpu", "fp32", "fp32", "")


def test_a_hundred_calls_are_timed_after_ten_that_warm_up(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = load_classifier(tiny_base, 1, None), load_tokenizer(tiny_base)
    read: list[int] = []

    def classify(_: Any, inputs: tuple[torch.Tensor], kwargs: dict[str, torch.Tensor]) -> None:
        read.append(kwargs["input_ids"].shape[1])

    model.register_forward_pre_hook(classify, with_kwargs=True)
    # the n-th timed call takes n milliseconds
    spans = itertools.chain.from_iterable((10.0 * n, 10.0 * n + n / 1000) for n in range(1, 999))
    monkeypatch.setattr(time, "perf_counter", lambda: next(spans))
    texts = ["good " * n for n in range(1, 121)]
    found = time_per_example(model, tokenizer, texts, 16, CPU)
    assert read == [min(n + 2, 16) for n in (*range(1, 11), *range(1, 101))]
    assert found == pytest.approx({
        "milliseconds_per_example": 50.5, "milliseconds_median": 50.5,
        "milliseconds_p95": np.quantile(np.arange(1, 101), 0.95),
    })  # fmt: skip


def test_logits_are_those_of_each_review_alone_in_the_order_of_the_store(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["good film " * n + "bad" for n in (9, 1, 5, 0, 12, 3, 7)]
    store = write_tokens([(texts, [0] * 7)], load_word_pieces(tiny_base), 64, tmp_path)
    model, tokenizer = load_classifier(tiny_base, 1, None), load_tokenizer(tiny_base)
    sizes: list[int] = []
    monkeypatch.setattr(inference, "BATCH_TOKENS", 40)

    def noted(ids: Any) -> Any:
        sizes.append(sum(map(len, ids)))
        return concatenate_rows(ids)

    monkeypatch.setattr(inference, "concatenate_rows", noted)
    found = predict_logits(model, store, 4, CPU, tokenizer.pad_token_id)
    with torch.inference_mode():
        alone = [model(**tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in texts]
    assert found.shape == (7, 2)
    assert not model.training
    np.testing.assert_allclose(found, np.stack(alone), atol=1e-5)
    assert len(sizes) > 1
    assert max(sizes) <= 40
    before = len(sizes)
    for name in ("why_padded", "why_unlike"):  # either of them is enough
        with monkeypatch.context() as patch:
            patch.setattr(inference, name, lambda *_, **__: "as a test wants it")
            padded = predict_logits(model, store, 4, CPU, tokenizer.pad_token_id)
        np.testing.assert_allclose(padded, np.stack(alone), atol=1e-5)
    assert len(sizes) == before
