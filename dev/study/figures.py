"""The figures of the results, as SVG text: the same records give the same text."""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from cardproof.pages.drawing import CARD, GREY, INK, OURS, finish
from cardproof.runs.groups import Group
from dev.study.leak import Epoch
from dev.study.readings import ACCURACY
from dev.study.small_sets import FIGURES, Floats, Spread


def to_svg(figure: Figure) -> str:
    """The figure as SVG text without a date."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "cardproof", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def draw_small_sets(
    drawn: Mapping[str, Floats], found: Mapping[str, Spread], rows: int, all_rows: int
) -> Figure:
    """Histograms of each score over the draws, and the score on all rows."""
    figure = Figure(figsize=(10, 2.9), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(FIGURES), sharey=True), FIGURES, strict=True):
        values, counts = np.unique(drawn[name].round(2), return_counts=True)
        axes.bar(values, counts / len(drawn[name]), width=0.008, color=OURS, alpha=0.75)
        axes.axvline(found[name].whole, color=CARD, lw=2)
        axes.set_title(name.replace("f1", "F1"), loc="left", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=GREY, lw=0.3, axis="y")
        axes.set_axisbelow(True)
    figure.supxlabel(f"score on {rows} rows; the line is the score on all {all_rows:,}")
    return figure


def draw_groups(groups: Sequence[Group], names: Sequence[str]) -> Figure:
    """Accuracy of each group, a line each: a ring for each seed and a dot for their mean."""
    figure = Figure(figsize=(8, 0.9 + 0.42 * len(groups)), layout="constrained")
    axes = figure.subplots()
    for y, group in enumerate(groups):
        values = group.values(ACCURACY)
        axes.plot(values, [y] * len(values), "o", ms=5, mfc="white", mec=OURS, zorder=4)
        axes.plot(np.mean(values), y, "o", ms=8, color=OURS, zorder=3)
    axes.axvline(float(np.mean(groups[0].values(ACCURACY))), color=GREY, lw=1, ls=":")
    axes.set_yticks(range(len(groups)), names, color=INK)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    finish(axes, "", "accuracy", "")
    axes.tick_params(axis="y", length=0)
    return figure


def draw_leak(starts: Mapping[str, Sequence[Epoch]], card: Sequence[float]) -> Figure:
    """Validation accuracy by epoch: a band over seeds for each start, and the card's line."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    for (name, epochs), color in zip(starts.items(), (GREY, OURS), strict=True):
        ends = [e.figures["accuracy"] for e in epochs]
        low, high = np.array([pair for pair in ends if pair]).T
        numbers = [e.epoch for e in epochs]
        axes.plot(numbers, (low + high) / 2, "o-", color=color, label=name)
        axes.fill_between(numbers, low, high, color=color, alpha=0.2, lw=0)
    axes.plot(range(1, len(card) + 1), card, "D--", color=CARD, label="the card's own table")
    axes.set_xticks(range(1, len(card) + 1))
    finish(axes, "", "epoch", "accuracy on the validation rows")
    return figure
