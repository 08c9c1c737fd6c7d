"""The figure of a set of results: training, inference, where the time goes, growth."""

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cardproof.pages.drawing import CARD, DPI, GREY, INK, OURS, finish
from dev.benchmarks.growth import STEPS
from dev.benchmarks.page import number
from dev.benchmarks.record import Results, rounded

LABELS = {
    "padded_fp32": "padded to 384, fp32",
    "trainer_fp32": "Trainer, fp32",
    "trainer_bf16": "Trainer, bf16",
    "ours_fp32": "ours, fp32",
    "ours_bf16": "ours, bf16",
    "pipeline_fp32": "pipeline, one a call",
}
INFERENCE_LABELS = {**LABELS, "padded_fp32": "batches, fp32", "padded_bf16": "batches, bf16"}
SOURCE = "Source"  # the key in the file under which the sum of what was drawn stands


def draw(results: Results) -> bytes:
    """The figure as PNG, with the sum of the results in it; a panel for each section it has."""
    panels = [(name, panel) for name, panel in PANELS.items() if name in results]
    rows = max(1, -(-len(panels) // 2))
    figure = Figure(figsize=(10.5, 3.3 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False).flat
    for (name, panel), ax in zip(panels, axes, strict=False):
        panel(ax, results[name]["variants"])
    for ax in list(axes)[len(panels) :]:
        ax.axis("off")
    buffer = io.BytesIO()
    # No version of the library: the bytes change only when the picture does.
    metadata = {"Software": None, SOURCE: source_of(results)}
    figure.savefig(buffer, format="png", dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def source_of(results: Results) -> str:
    """A sum over the sections that the figure shows."""
    drawn = {name: rounded(results[name]["variants"]) for name in PANELS if name in results}
    return hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()


def _training(axes: Axes, variants: Mapping[str, Any]) -> None:
    _bars(axes, variants, "tokens_per_second", LABELS)
    finish(axes, "Training: useful tokens a second", "", "")


def _inference(axes: Axes, variants: Mapping[str, Any]) -> None:
    _bars(axes, variants, "reviews_per_second", INFERENCE_LABELS)
    finish(axes, "Inference: reviews a second", "", "")


def _bars(axes: Axes, variants: Mapping[str, Any], figure: str, labels: Mapping[str, str]) -> None:
    """A bar for each variant that has the figure, its range as a line, its median in digits."""
    shown = {name: v[figure] for name, v in variants.items() if figure in v}
    for place, (name, value) in enumerate(reversed(shown.items())):
        color = OURS if name.startswith("ours") else CARD
        axes.barh(place, value["median"], height=0.62, color=color, alpha=0.85)
        axes.plot([value["low"], value["high"]], [place, place], color=INK, lw=1.5)
        axes.annotate(number(value["median"], 3), (value["high"], place), (5, 0), va="center",
                      textcoords="offset points", fontsize=9, color=INK)  # fmt: skip
    axes.set_yticks(range(len(shown)), [labels[name] for name in reversed(shown)])
    axes.set_xlim(0, 1.15 * max(value["high"] for value in shown.values()))


def _profile(axes: Axes, variants: Mapping[str, Any]) -> None:
    groups = {n: v["median"] for n, v in variants["ours_bf16"].items() if n != "step_seconds"}
    for place, (group, share) in enumerate(reversed(groups.items())):
        color = OURS if group == "matrix products" else GREY
        axes.barh(place, 100 * share, height=0.62, color=color, alpha=0.85)
        axes.annotate(f"{100 * share:.1f}", (100 * share, place), (5, 0), va="center",
                      textcoords="offset points", fontsize=9, color=INK)  # fmt: skip
    axes.set_yticks(range(len(groups)), list(reversed(groups)))
    axes.set_xlim(0, 115 * max(groups.values()))
    finish(axes, "Where a training step's time goes, ours in bf16", "% of a step", "")


def _growth(axes: Axes, variants: Mapping[str, Any]) -> None:
    for step, color, mark in zip(STEPS, (OURS, CARD, INK, GREY), "os^D", strict=True):
        found = variants[step]
        names = [name for name in found if name.startswith("seconds_")]
        multiples = [int(name.removeprefix("seconds_").removesuffix("x")) for name in names]
        seconds = [found[name]["median"] for name in names]
        label = f"{step.replace('_', ' ')}: exponent {found['exponent']:.2f}"
        axes.loglog(multiples, seconds, f"{mark}-", color=color, label=label)
    axes.set_xticks(multiples, [f"{m}x" for m in multiples])
    axes.minorticks_off()
    axes.set_ylim(bottom=axes.get_ylim()[0] / 20)  # room for the legend below the lines
    finish(axes, "Growth: time over reviews", "reviews", "seconds")


PANELS: dict[str, Callable[[Axes, Mapping[str, Any]], None]] = {
    "training": _training,
    "inference": _inference,
    "profile": _profile,
    "growth": _growth,
}
