"""The figure of a set of results: training, inference, where a step's time goes, growth."""

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cardproof.pages.drawing import CARD, DPI, GREY, INK, OURS, finish
from dev.benchmarks.page import number

LABELS = {
    "padded_fp32": "padded, fp32",
    "padded_bf16": "padded, bf16",
    "trainer_fp32": "Trainer, fp32",
    "trainer_bf16": "Trainer, bf16",
    "pipeline_fp32": "pipeline, one a call",
    "ours_fp32": "ours, fp32",
    "ours_bf16": "ours, bf16",
}
SOURCE = "Source"  # the key in the file under which the checksum of what was drawn stands


def draw(results: Mapping[str, Any]) -> bytes:
    """The figure as PNG, with the checksum of the results in it; sections it lacks stay empty."""
    figure = Figure(figsize=(10.5, 6.6), layout="constrained")
    training, inference, profile, growth = figure.subplots(2, 2).flat
    found = {name: section["figures"] for name, section in results.items()}
    if "training" in found:
        _bars(training, found["training"], "tokens_per_second")
        finish(training, "Training: useful tokens a second", "", "")
        _profile(profile, found["training"]["profile"])
    if "inference" in found:
        _bars(inference, found["inference"], "reviews_per_second")
        finish(inference, "Inference: reviews a second", "", "")
    if "growth" in found:
        _growth(growth, found["growth"])
    buffer = io.BytesIO()
    # No version of the library: the bytes change only when the picture does.
    metadata = {"Software": None, SOURCE: checksum_of(results)}
    figure.savefig(buffer, format="png", dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def checksum_of(results: Mapping[str, Any]) -> str:
    """The sha256 of the figures of all sections."""
    figures = {name: section["figures"] for name, section in results.items()}
    return hashlib.sha256(json.dumps(figures, sort_keys=True).encode()).hexdigest()


def _bars(axes: Axes, variants: Mapping[str, Any], figure: str) -> None:
    """A bar for each variant that has the figure, its range as a line, its median in digits."""
    shown = {LABELS[name]: v[figure] for name, v in list(variants.items())[::-1] if figure in v}
    for place, (label, value) in enumerate(shown.items()):
        axes.barh(place, value["median"], height=0.62, alpha=0.85,
                  color=OURS if label.startswith("ours") else CARD)  # fmt: skip
        axes.plot([value["low"], value["high"]], [place, place], color=INK, lw=1.5)
        _write(axes, number(value["median"]), value["high"], place)
    axes.set_yticks(range(len(shown)), list(shown))
    axes.set_xlim(0, 1.15 * max(value["high"] for value in shown.values()))


def _profile(axes: Axes, profile: Mapping[str, Any]) -> None:
    groups = [(n, 100 * v["median"]) for n, v in profile.items() if n != "step_seconds"][::-1]
    for place, (group, share) in enumerate(groups):
        color = OURS if group == "matrix products" else GREY
        axes.barh(place, share, height=0.62, color=color, alpha=0.85)
        _write(axes, f"{share:.1f}", share, place)
    axes.set_yticks(range(len(groups)), [group for group, _ in groups])
    axes.set_xlim(0, 1.15 * max(share for _, share in groups))
    finish(axes, "Profile of a training step, ours in bf16", "% of a step", "")


def _growth(axes: Axes, steps: Mapping[str, Any]) -> None:
    for (step, found), color, mark in zip(
        steps.items(), (OURS, CARD, INK, GREY), "os^D", strict=True
    ):
        multiples = [int(m) for m in found["seconds"]]
        seconds = [value["median"] for value in found["seconds"].values()]
        label = f"{step.replace('_', ' ')}: exponent {found['exponent']:.2f}"
        axes.loglog(multiples, seconds, f"{mark}-", color=color, label=label)
    axes.set_xticks(multiples, [f"{m}x" for m in multiples])
    axes.minorticks_off()
    axes.set_ylim(bottom=axes.get_ylim()[0] / 20)  # room for the legend below the lines
    finish(axes, "Scaling: time over reviews", "reviews", "seconds")


def _write(axes: Axes, text: str, x: float, y: float) -> None:
    axes.annotate(text, (x, y), (5, 0), va="center", textcoords="offset points", fontsize=9,
                  color=INK)  # fmt: skip
