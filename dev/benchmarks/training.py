"""Training speed: five variants, the bare matrix products and a profile, on the same batches."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import DistilBertConfig

from cardproof.model.loading import load_word_pieces
from cardproof.model.tokens import read_batches, write_tokens
from dev.benchmarks.bench import TINY, Bench, write_reviews
from dev.benchmarks.processes import PEAKS, BenchmarkError, Outcome, Task, run_in_turns
from dev.benchmarks.profile import GROUPS, profile_steps
from dev.benchmarks.results import spread
from dev.benchmarks.steps import SPEEDS, time_products, time_steps

VARIANTS = ("padded_fp32", "trainer_fp32", "trainer_bf16", "ours_fp32", "ours_bf16")
PRECISIONS = ("fp32", "bf16")


def measure(bench: Bench) -> dict[str, Any]:
    """Settings and figures: speed, memory and share of the products' speed of each variant."""
    scale = bench.scale
    store = bench.folder / "tokens"
    tokens = _write_store(bench, store)
    job = {"store": str(store), "tokenizer": str(bench.tokenizer), "batch": scale.batch,
           "max_length": scale.max_length, "sizes": scale.sizes}  # fmt: skip
    products = {"tokens": tokens, "sizes": scale.sizes, "seconds": scale.product_seconds}
    tasks = {v: Task(time_steps, {"variant": v, "job": job}, bench.folder) for v in VARIANTS}
    for precision in PRECISIONS:
        given = {"precision": precision, **products}
        tasks[f"products_{precision}"] = Task(time_products, given, bench.folder)
    tasks["profile"] = Task(profile_steps, {"job": job}, bench.folder)
    outcomes = run_in_turns(tasks, scale.repeats, scale == TINY)
    timed = same_lengths([o for name in VARIANTS for o in outcomes[name]])[scale.batch :]
    return {
        "settings": {
            "batch_size": scale.batch,
            "max_length": scale.max_length,
            "timed_steps": scale.steps,
            "useful_tokens_a_batch": round(sum(timed) / scale.steps),
            "padded_over_useful": _padding(timed, scale.batch),
            "threads": outcomes["ours_bf16"][0]["threads"],
            "device": outcomes["ours_bf16"][0]["device"],
        },
        "figures": {
            **{name: _variant(name, outcomes, timed, scale.sizes) for name in VARIANTS},
            **{f"products_{p}": _spreads(outcomes[f"products_{p}"], SPEEDS) for p in PRECISIONS},
            "profile": _spreads(outcomes["profile"], ("step_seconds", *GROUPS)),
        },
    }


def _write_store(bench: Bench, folder: Path) -> int:
    """Draw and tokenize the reviews of all steps; the tokens of a batch, on average."""
    steps, path = 1 + bench.scale.steps, bench.folder / "reviews.parquet"
    write_reviews(bench.train, steps * bench.scale.batch, path)
    folder.mkdir()
    tokenizer = load_word_pieces(bench.tokenizer)
    store = write_tokens(read_batches(path), tokenizer, bench.scale.max_length, folder)
    return round(len(store.ids) / steps)


def same_lengths(outcomes: Iterable[Outcome]) -> list[int]:
    """The lengths of the reviews in the order of training, if all variants had the same.

    Raises:
        BenchmarkError: they had not, so that they cannot be compared.
    """
    found = {tuple(outcome["lengths"]) for outcome in outcomes}
    if len(found) != 1:
        raise BenchmarkError("the variants were not given the same batches in the same order")
    return list(found.pop())


def _variant(
    name: str, outcomes: Mapping[str, list[Outcome]], timed: Sequence[int], sizes: Mapping[str, int]
) -> dict[str, Any]:
    """A variant's figures. Ratios are taken within a repeat: what drifts drops out."""
    seconds = {n: [sum(o["seconds"]) for o in outcomes[n]] for n in VARIANTS}
    mine = seconds[name]
    # Of the two measured speeds of bare products the higher one: the harder reference.
    precision = name.partition("_")[2]
    products = [max(o[s] for s in SPEEDS) for o in outcomes[f"products_{precision}"]]
    steps = len(outcomes[name][0]["seconds"])
    model, needed = (3 * forward_flops(timed, sizes, n) / 1e9 for n in (False, True))
    figures = {
        "tokens_per_second": [sum(timed) / s for s in mine],
        "step_seconds": [s / steps for s in mine],
        "over_trainer_fp32": _ratios(seconds["trainer_fp32"], mine),
        "over_trainer_bf16": _ratios(seconds["trainer_bf16"], mine),
        "model_gflops": [model / s for s in mine],
        "model_share_of_products": _ratios([model / s for s in mine], products),
        "needed_share_of_products": _ratios([needed / s for s in mine], products),
    }
    return {n: spread(values) for n, values in figures.items()} | _spreads(outcomes[name], PEAKS)


def _ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def _spreads(outcomes: Sequence[Outcome], names: Iterable[str]) -> dict[str, Any]:
    return {name: spread([o[name] for o in outcomes]) for name in names}


def _padding(lengths: Sequence[int], batch: int) -> float:
    """Tokens with dynamic padding over useful ones."""
    batches = [lengths[i : i + batch] for i in range(0, len(lengths), batch)]
    return round(sum(len(b) * max(b) for b in batches) / sum(lengths), 3)


def forward_flops(lengths: Iterable[int], sizes: Mapping[str, int], needed: bool = False) -> float:
    """Floating-point operations of a forward pass, whoever computes them and however.

    A product of (a, b) by (b, c) counts 2abc: 2 for each token and parameter of the layers'
    matrices, 4nd for each token and layer in attention (n tokens in the review, width d). Training
    takes three times as many (Kaplan et al. 2020, section 2.1). Embeddings, norms, activations,
    dropout, softmax and the optimizer count nothing, and neither does padding.

    Args:
        lengths: tokens of each review.
        sizes: of the model, where they are not DistilBERT's own.
        needed: leave out what no logit depends on: all of the last layer but the keys and values,
            for every token but the first.
    """
    config = DistilBertConfig(**sizes)
    width = config.dim
    matrices = 4 * width**2 + 2 * width * config.hidden_dim  # parameters of a layer
    head = 2 * width**2 + 2 * width * 2
    total = 0
    for n in lengths:
        layer = 2 * n * matrices + 4 * n**2 * width
        first = 2 * n * 2 * width**2 + 2 * (matrices - 2 * width**2) + 4 * n * width
        total += (config.n_layers - 1) * layer + (first if needed else layer) + head
    return float(total)
