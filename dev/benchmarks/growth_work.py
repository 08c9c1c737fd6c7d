"""What the growth measurements do in their own processes: one stage, its work alone timed."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dev.benchmarks.runner import memory_status

# What a stage imports once it runs: loaded before the clock starts, so that it is not counted.
LOADED = {
    "split": ("datasets", "pyarrow.parquet", "cardproof.data.reviews", "cardproof.data.splits"),
    "tokenize": ("pyarrow.parquet", "tokenizers", "tqdm", "cardproof.model.loading",
                 "cardproof.model.tokens"),
    "evaluate": ("transformers", "pyarrow.parquet", "sklearn.metrics",
                 "cardproof.evaluation.inference", "cardproof.evaluation.metrics"),
}  # fmt: skip


def run_stage(stage: str) -> dict[str, float]:
    """Run a stage's own code on data/ in the working directory."""
    for name in LOADED[stage]:
        importlib.import_module(name)
    return _timed(importlib.import_module(f"stages.{stage}").main)


def run_data_path(store: str, sizes: dict[str, int]) -> dict[str, float]:
    """Load an epoch's batches of a token store as training does, without training on them."""
    from transformers import Trainer

    from cardproof.model.devices import choose_device
    from cardproof.model.tokens import open_tokens
    from cardproof.model.unpadded.batches import collate_unpadded
    from cardproof.training.trainer import training_arguments
    from dev.benchmarks.models import random_classifier
    from dev.benchmarks.training_work import grojeda

    model, device = random_classifier(sizes), choose_device("fp32")
    arguments = training_arguments(
        grojeda(), 32, device, validates=False, checkpoints=Path("checkpoints")
    )

    def load() -> None:
        rows: Any = open_tokens(Path(store))
        trainer = Trainer(
            model=model, args=arguments, train_dataset=rows, data_collator=collate_unpadded
        )
        for _ in trainer.get_train_dataloader():
            pass

    return _timed(load)


def _timed(work: Callable[[], None]) -> dict[str, float]:
    """Seconds of the work, and the anonymous memory before it, in MiB."""
    before = memory_status().get("RssAnon", 0.0)
    start = time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - start, "before_mib": before}


def tokenize_all(
    files: list[str], word_pieces: str, max_length: int, folder: str
) -> dict[str, float]:
    """Tokenize parquet files as the stage does; seconds and reviews."""
    from cardproof.model.loading import load_word_pieces
    from cardproof.model.tokens import read_batches, write_tokens

    tokenizer, reviews = load_word_pieces(Path(word_pieces)), 0
    start = time.perf_counter()
    for i, path in enumerate(files):
        target = Path(folder) / str(i)
        target.mkdir(parents=True)
        reviews += len(write_tokens(read_batches(Path(path)), tokenizer, max_length, target))
    return {"seconds": time.perf_counter() - start, "reviews": reviews}
