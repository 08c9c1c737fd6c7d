"""Inference speed: from texts to probabilities, in turns on the same reviews."""

import numpy as np

from dev.benchmarks.context import Context, Section
from dev.benchmarks.runner import BenchmarkError, Outcome, Task, interleaved, run_each
from dev.benchmarks.spread import spread

BATCH, MAX_LENGTH = 32, 384
REVIEWS = 128
WARM_UP = 10  # as in inference_work, which imports torch
PIPELINE, OURS = "pipeline_fp32", "ours_bf16"
VARIANTS = {
    "pipeline_fp32": "pipeline of the cards' snippets: one text a call, fp32",
    "padded_fp32": "padded batches of 32, fp32",
    "padded_bf16": "padded batches of 32, bf16",
    "ours_fp32": "ours, fp32",
    "ours_bf16": "ours, bf16",
}
AGREEMENT = 0.02  # largest difference of a probability that bf16 may make


def measure(context: Context) -> Section:
    """Reviews a second of each variant, tokenizing included, and memory."""
    reviews, max_length = (4, 64) if context.quick else (REVIEWS, MAX_LENGTH)
    path = context.folder / "inference.parquet"
    source = {"source": str(context.inputs.test), "rows": reviews + WARM_UP, "target": str(path)}
    run_each([Task("prepare:draw_reviews", source, context.folder)], shared=True)
    settings = {
        "reviews": str(path),
        "word_pieces": str(context.inputs.word_pieces),
        "batch_size": BATCH,
        "max_length": max_length,
        "sizes": context.sizes,
    }
    tasks = {
        name: Task(
            "inference_work:time_inference",
            {"variant": v, "precision": precision, "settings": settings},
            context.folder,
        )
        for name in VARIANTS
        for v, precision in [name.split("_")]
    }
    outcomes = interleaved(tasks, context.repeats, context.quick, context.note)
    variants = {
        name: {
            "reviews_per_second": spread([reviews / o.values["seconds"] for o in found]),
            "over_pipeline": spread(
                [
                    theirs.values["seconds"] / o.values["seconds"]
                    for theirs, o in zip(outcomes[PIPELINE], found, strict=True)
                ]
            ),
            "peak_anonymous_mib": spread([o.anonymous_mib for o in found]),
            "peak_resident_mib": spread([o.resident_mib for o in found]),
            "largest_difference": _difference(outcomes[PIPELINE], found),
        }
        for name, found in outcomes.items()
    }
    return Section({"reviews": reviews, "batch_size": BATCH, "max_length": max_length}, variants)


def _difference(expected: list[Outcome], found: list[Outcome]) -> float:
    """The largest difference of a probability from the pipeline's.

    Raises:
        BenchmarkError: it is so large that the variants did not do the same work.
    """
    largest = max(
        float(np.abs(np.subtract(e.values["probabilities"], f.values["probabilities"])).max())
        for e, f in zip(expected, found, strict=True)
    )
    if largest > AGREEMENT:
        raise BenchmarkError(f"probabilities differ from the pipeline's by up to {largest:.3f}")
    return largest
