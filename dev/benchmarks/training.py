"""Training speed: five variants and the bare matrix products, in turns on the same batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cardproof.model.tokens import open_tokens
from dev.benchmarks.context import Context, Section, Variants
from dev.benchmarks.flops import TRAINING, Shape, forward_flops, forward_flops_needed
from dev.benchmarks.runner import BenchmarkError, Outcome, Task, interleaved, run_each
from dev.benchmarks.spread import spread

BATCH, MAX_LENGTH = 16, 384
TIMED_STEPS = 3  # after one that warms up
OURS, PRODUCTS = "ours_bf16", "products_bf16"
VARIANTS = {
    "padded_fp32": "padded to 384 tokens, fp32: the default of run_classification",
    "trainer_fp32": "Trainer as a user would write it: dynamic padding, fp32",
    "trainer_bf16": "the same in bf16",
    "ours_fp32": "ours, fp32",
    "ours_bf16": "ours, bf16",
}


def measure(context: Context) -> Section:
    """Useful tokens a second of each variant, memory, and the share of the products' speed."""
    steps = 1 + (1 if context.quick else TIMED_STEPS)
    batch, max_length = (2, 64) if context.quick else (BATCH, MAX_LENGTH)
    settings = training_data(context, "training", steps * batch, batch, max_length)
    tasks = {
        name: Task(
            "training_work:time_training",
            {"variant": v, "precision": precision, "settings": settings},
            context.folder,
        )
        for name in VARIANTS
        for v, precision in [name.split("_")]
    }
    stored = steps * batch  # reviews; their tokens are known once a variant has run
    per_batch = round(mean_tokens(context, settings) * batch)
    for precision in ("fp32", "bf16"):
        tasks[f"products_{precision}"] = products_task(context, precision, per_batch)
    outcomes = interleaved(tasks, context.repeats, context.quick, context.note)
    lengths = same_lengths({name: outcomes[name] for name in VARIANTS})
    timed = lengths[batch:]
    variants = {name: _figures(outcomes[name], timed) for name in VARIANTS}
    variants |= {
        name: {
            f"{what}_gflops": spread([o.values[what] for o in outcomes[name]])
            for what in ("forward", "training")
        }
        for name in outcomes
        if name not in VARIANTS
    }
    _add_ratios(variants, outcomes, timed, shape_for(context))
    return Section(
        {
            "batch_size": batch,
            "max_length": max_length,
            "timed_steps": steps - 1,
            "reviews": stored,
            "useful_tokens_a_batch": round(sum(timed) / (steps - 1)),
            "padded_over_useful": _padding(timed, batch),
            "threads": outcomes[OURS][0].values["threads"],
            "device": outcomes[OURS][0].values["device"],
        },
        variants,
    )


def training_data(
    context: Context, name: str, rows: int, batch: int, max_length: int
) -> dict[str, Any]:
    """Draw reviews and tokenize them; the settings of the variants that train on them."""
    reviews, store = context.folder / f"{name}.parquet", context.folder / name
    pieces = str(context.inputs.word_pieces)
    run_each(
        [
            Task(
                "prepare:draw_reviews",
                {"source": str(context.inputs.train), "rows": rows, "target": str(reviews)},
                context.folder,
            ),
            Task(
                "prepare:write_store",
                {
                    "reviews": str(reviews),
                    "word_pieces": pieces,
                    "max_length": max_length,
                    "folder": str(store),
                },
                context.folder,
            ),
        ],
        shared=True,
    )
    return {
        "store": str(store),
        "word_pieces": pieces,
        "batch_size": batch,
        "max_length": max_length,
        "sizes": context.sizes,
    }


def mean_tokens(context: Context, settings: dict[str, Any]) -> float:
    """Mean tokens of a review of a store."""
    return float(open_tokens(Path(settings["store"])).lengths.mean())


def products_task(context: Context, precision: str, tokens: int) -> Task:
    """The bare matrix products of a layer."""
    seconds = 0.01 if context.quick else 0.5
    arguments = {"precision": precision, "tokens": tokens, "sizes": context.sizes}
    return Task("products_work:time_products", {**arguments, "seconds": seconds}, context.folder)


def shape_for(context: Context) -> Shape:
    """The encoder's sizes."""
    s = context.sizes
    return Shape(s["n_layers"], s["dim"], s["hidden_dim"]) if s else Shape()


def same_lengths(outcomes: dict[str, list[Outcome]]) -> list[int]:
    """The lengths of the reviews in their order, if all variants had the same.

    Raises:
        BenchmarkError: they had not, so that they cannot be compared.
    """
    found = {tuple(o.values["lengths"]) for variant in outcomes.values() for o in variant}
    if len(found) != 1:
        raise BenchmarkError("the variants were not given the same batches in the same order")
    return list(found.pop())


def _figures(outcomes: Sequence[Outcome], timed: Sequence[int]) -> dict[str, Any]:
    seconds = [o.values["seconds"] for o in outcomes]
    return {
        "tokens_per_second": spread([sum(timed) / sum(s) for s in seconds]),
        "step_seconds": spread([sum(s) / len(s) for s in seconds]),
        "peak_anonymous_mib": spread([o.anonymous_mib for o in outcomes]),
        "peak_resident_mib": spread([o.resident_mib for o in outcomes]),
    }


def _add_ratios(
    variants: Variants, outcomes: dict[str, list[Outcome]], timed: list[int], shape: Shape
) -> None:
    """Ratios within each repeat: what drifts from one to the next drops out."""
    seconds = {name: [sum(o.values["seconds"]) for o in outcomes[name]] for name in VARIANTS}
    for name in VARIANTS:
        pairs = zip(seconds["trainer_fp32"], seconds[name], strict=True)
        variants[name]["over_trainer_fp32"] = spread([theirs / ours for theirs, ours in pairs])
    pairs = zip(seconds["trainer_bf16"], seconds[OURS], strict=True)
    variants[OURS]["over_trainer_bf16"] = spread([theirs / ours for theirs, ours in pairs])
    for what, count in (("model", forward_flops), ("needed", forward_flops_needed)):
        flops = TRAINING * count(timed, shape) / 1e9
        for name in VARIANTS:
            precision = name.rpartition("_")[2]
            speeds = [flops / s for s in seconds[name]]
            # Of the two measured speeds of bare products the higher one: the harder yardstick.
            bare = [
                max(o.values["forward"], o.values["training"])
                for o in outcomes[f"products_{precision}"]
            ]
            variants[name][f"{what}_gflops"] = spread(speeds)
            variants[name][f"{what}_share_of_products"] = spread(
                [speed / limit for speed, limit in zip(speeds, bare, strict=True)]
            )


def _padding(lengths: Sequence[int], batch: int) -> float:
    """Tokens with dynamic padding over useful ones."""
    batches = [lengths[i : i + batch] for i in range(0, len(lengths), batch)]
    return round(sum(len(b) * max(b) for b in batches) / sum(lengths), 3)
