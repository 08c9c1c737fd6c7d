"""README.md of a set of results: every figure in it is one of results.json."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dev.benchmarks import inference, training
from dev.benchmarks.goals import judge
from dev.benchmarks.growth import STEPS, TEXT_CUT
from dev.benchmarks.record import Results, figure_of, middle
from dev.benchmarks.spread import Spread

GPU_NOTE = "Written where there was no GPU: the section has not been run on one."


def render(results: Results) -> str:
    """The page."""
    parts = [
        "# What was measured",
        "Written by `make bench`; the figures are those of [results.json](results.json). A figure "
        "is the median of repeats, with the lowest and the highest in brackets.",
        _where(results),
        _quick(results),
        "![training, inference, where a step's time goes, growth](figure.png)",
        "## Goals",
        _goals(results),
        *(write(results[name]) for name, write in WRITERS.items() if name in results),
        "## How it is measured",
        HOW,
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


HOW = """\
- `python -m dev.benchmarks --help` lists the sections and options; each can be run alone and
  replaces its own part of `results.json`.
- Each measurement runs in a process of its own, and variants take turns within a repeat, so that
  what drifts drifts for all. Ratios are taken within a repeat.
- Weights are random, of `DistilBertConfig()`'s own sizes: speed does not depend on their values.
- Training: all variants get the same batches in the same order, which is checked. The first step
  warms up and is not counted. A step lasts from the end of the one before to its own end: loading,
  forward, backward, clipping, optimizer. Saving checkpoints is left out of all; ours spends at most
  2 % of its time on it. Useful tokens are those that are not padding.
- Inference: from texts to probabilities, tokenizing included. The largest difference of a
  probability from the pipeline's is shown, and beyond 0.02 the run is refused.
- Operations are those of the model: 2 for each parameter in the layers' matrices and token, plus
  4nd for each token and layer in attention (n tokens of the review, width d), three times that in
  training. "Needed" leaves out what no logit depends on: ours does not compute it. The bare
  products are those of a layer on a batch's useful tokens, forward alone and as in training; the
  share is of the faster of the two.
- Memory: the most anonymous memory (RssAnon: heap and tensors, not mapped files) that the process
  was seen to hold, looked at from outside every 20 ms, the interpreter and libraries included.
  Peaks between two looks are missed. Resident is the kernel's own peak (VmHWM): nothing is missed,
  but pages of mapped files count, which the kernel takes back at need.
- Growth: real reviews, drawn at random; where more are wanted than there are, they come again with
  a number in front, so that each text is another. A stage's imports are not in its time. `evaluate`
  runs a small model (2 layers, width 64): its time is the data's, not the products'. Exponents are
  by least squares of logarithms."""


def _where(results: Results) -> str:
    """Machine, versions and reviews; a line for each set of sections that share them."""
    groups: dict[str, list[str]] = {}
    for name, section in results.items():
        groups.setdefault(_circumstances(section), []).append(name)
    return "\n".join(f"- **{', '.join(names)}**: {text}" for text, names in groups.items())


def _circumstances(section: Mapping[str, Any]) -> str:
    machine = section["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in section["versions"].items())
    return (
        f"{section['date']}, {machine['processor']} ({machine['instructions']}), "
        f"{machine['cores']} cores, {machine['memory_gib']:g} GiB, {machine['system']}; "
        f"{versions}; reviews of {section['reviews']}."
    )


def _quick(results: Results) -> str:
    quick = [name for name, section in results.items() if section["quick"]]
    return f"**{', '.join(quick)}: a quick run; its figures mean nothing.**" if quick else ""


def _goals(results: Results) -> str:
    rows = [
        (
            j.goal.what,
            f"{'at most' if j.goal.at_most else 'at least'} {j.goal.limit:g} {j.goal.unit}".strip(),
            "" if j.measured is None else show(j.measured, 3),
            j.verdict,
        )
        for j in judge(results)
    ]
    met = sum(row[-1] == "met" for row in rows)
    return (
        f"{met} of {len(rows)} met. What was tried towards the others stands in "
        f"[results/LOG.md](../results/LOG.md).{_ceiling(results)}\n\n"
        + table(("what", "goal", "measured", ""), rows)
    )


def _ceiling(results: Results) -> str:
    """How far ahead of fp32 this machine lets bf16 be: no variant's ratio can be much above it."""
    found = [figure_of(results, "training", f"products_{p}", "forward_gflops")
             for p in ("bf16", "fp32")]  # fmt: skip
    if None in found:
        return ""
    bf16, fp32 = (middle(value) for value in found if value is not None)
    return (
        f" On this machine bare bf16 products run at {bf16 / fp32:.1f} times the speed of fp32 "
        "ones: what bf16 can gain over a variant that wastes nothing in fp32."
    )


def _training(section: Mapping[str, Any]) -> str:
    settings, variants = section["settings"], section["variants"]
    rows = [
        (
            words,
            show(variants[name]["tokens_per_second"], 3),
            show(variants[name]["over_trainer_fp32"]),
            show(variants[name]["step_seconds"]),
            show(variants[name]["model_gflops"], 3),
            show(variants[name]["model_share_of_products"]),
            show(variants[name]["needed_share_of_products"]),
            show(variants[name]["peak_anonymous_mib"], 4),
            show(variants[name]["peak_resident_mib"], 4),
        )
        for name, words in training.VARIANTS.items()
    ]
    bare = [
        (name.removeprefix("products_"), *(show(figures[f"{w}_gflops"], 3) for w in
         ("forward", "training")))
        for name, figures in variants.items() if name.startswith("products_")
    ]  # fmt: skip
    return (
        "## Training\n\n"
        f"{settings['timed_steps']} steps of {settings['batch_size']} reviews, cut at "
        f"{settings['max_length']} tokens, {settings['useful_tokens_a_batch']:,} useful tokens a "
        f"step on average; dynamic padding makes {settings['padded_over_useful']:g} times as many. "
        f"{settings['threads']} threads, {section['repeats']} repeats.\n\n"
        + table(("variant", "useful tokens/s", "times Trainer fp32", "s a step", "model GFLOP/s",
                 "share of bare products", "the same, needed alone", "peak anonymous, MiB",
                 "peak resident, MiB"), rows)
        + "\n\nThe bare products of a layer:\n\n"
        + table(("precision", "forward, GFLOP/s", "forward and backward, GFLOP/s"), bare)
    )  # fmt: skip


def _inference(section: Mapping[str, Any]) -> str:
    rows = [
        (
            words,
            show(section["variants"][name]["reviews_per_second"], 3),
            show(section["variants"][name]["over_pipeline"]),
            f"{section['variants'][name]['largest_difference']:.1g}",
            show(section["variants"][name]["peak_anonymous_mib"], 4),
            show(section["variants"][name]["peak_resident_mib"], 4),
        )
        for name, words in inference.VARIANTS.items()
    ]
    return (
        f"## Inference\n\n{section['settings']['reviews']} reviews, cut at "
        f"{section['settings']['max_length']} tokens; {section['repeats']} repeats.\n\n"
        + table(("variant", "reviews/s", "times the pipeline", "largest difference",
                 "peak anonymous, MiB", "peak resident, MiB"), rows)
    )  # fmt: skip


def _profile(section: Mapping[str, Any]) -> str:
    figures = dict(section["variants"]["ours_bf16"])
    seconds = figures.pop("step_seconds")
    rows = [(group, percent(share)) for group, share in figures.items()]
    return (
        f"## Where a training step's time goes\n\nOurs in bf16, under torch's profiler, which "
        f"takes time itself: {show(seconds)} s a step.\n\n" + table(("group", "share"), rows)
    )


def _stages(section: Mapping[str, Any]) -> str:
    variants = dict(section["variants"])
    whole, nothing = variants.pop("dvc repro"), variants.pop("dvc repro of nothing")
    tokens = variants.pop("tokenize all")
    rows = [
        (
            name,
            show(figures["seconds"]),
            show(figures["start_seconds"]),
            "yes" if figures["loads_torch"] else "no",
        )
        for name, figures in variants.items()
    ]
    return (
        "## The pipeline on the embedded sample\n\nFrom one stage's beginning to the next one's: "
        "what DVC does for a stage is in its time. Loading is what a fresh interpreter takes to "
        "load all that the stage loads.\n\n"
        + table(("stage", "s in `dvc repro`", "of them loading, s", "loads torch"), rows)
        + f"\n\n`dvc repro` in a fresh copy: {show(whole['seconds'])} s, of which "
        f"{show(whole['before_the_first_stage'])} s before the first stage. Again, with nothing to "
        f"do: {show(nothing['seconds'])} s. Tokenizing {tokens['reviews']:,} reviews of "
        f"{section['reviews']}: {show(tokens['seconds'])} s, "
        f"{show(tokens['peak_anonymous_mib'], 3)} MiB."
    )


def _growth(section: Mapping[str, Any]) -> str:
    multiples = section["settings"]["multiples"].split()
    rows = []
    for step in STEPS:
        figures = section["variants"][step]
        seconds = [show(figures[f"seconds_{m}x"]) for m in multiples]
        memory = [show(figures[f"peak_anonymous_mib_{m}x"]) for m in multiples]
        rows.append((f"{step}, s", *seconds, f"{figures['exponent']:.2f}"))
        rows.append((f"{step}, peak MiB", *memory, f"{figures['memory_exponent']:.2f}"))
    head = ("", *(f"{m}x" for m in multiples), "exponent")
    at = section["settings"]["reviews_at_1x"]
    text = f"## Growth\n\n1x is {at:,} reviews, half of them to train on.\n\n" + table(head, rows)
    for step in STEPS:
        figures = section["variants"][step]
        if "large_reviews" in figures:
            short = f", cut at {TEXT_CUT} characters" if step == "tokenize" else ""
            text += (
                f"\n\n{step} of {figures['large_reviews']:,} reviews{short}: "
                f"{figures['large_seconds']:.0f} s, at most "
                f"{figures['large_peak_anonymous_mib']:.0f} MiB anonymous and "
                f"{figures['large_peak_resident_mib']:.0f} MiB resident."
            )
    return text


def _gpu(section: Mapping[str, Any]) -> str:
    if not section["variants"]:
        return f"## GPU\n\nThere was none. {GPU_NOTE}"
    rows = [
        (name, *(show(figures[k]) if k in figures else "" for k in
                 ("epoch_seconds", "recipe_seconds", "gpu_mib")))
        for name, figures in section["variants"].items()
    ]  # fmt: skip
    return f"## GPU\n\n{section['settings']['gpu']}; extrapolated from some steps.\n\n" + table(
        ("variant or recipe", "s an epoch of grojeda", "s a whole recipe", "GPU memory, MiB"), rows
    )


WRITERS = {
    "training": _training,
    "inference": _inference,
    "profile": _profile,
    "stages": _stages,
    "growth": _growth,
    "gpu": _gpu,
}


def show(value: Spread | float, digits: int = 2) -> str:
    """A figure: the median, and the range where there is more than one measurement."""
    text = number(middle(value), digits)
    if isinstance(value, dict) and value["repeats"] > 1:
        text += f" [{number(value['low'], digits)} to {number(value['high'], digits)}]"
    return text


def percent(value: Spread) -> str:
    """A share as a percentage, with its range."""
    text = f"{value['median']:.1%}"
    if value["repeats"] > 1:
        text += f" [{value['low']:.1%} to {value['high']:.1%}]"
    return text


def number(value: float, digits: int) -> str:
    """A number with at least so many significant digits; whole from a hundred on."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.{max(digits, 3)}g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
