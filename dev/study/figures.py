"""The figures of the results, as SVG text: the same records give the same text."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cardproof.evaluation.statistics import Floats
from cardproof.pages.drawing import CARD, GREY, INK, OURS, finish


def draw_small_sets(
    drawn: Mapping[str, Floats], whole: Mapping[str, float], rows: int, all_rows: int
) -> Figure:
    """Histograms of each score over the draws, and the score on all rows."""
    figure = Figure(figsize=(10, 2.9), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(drawn), sharey=True), drawn, strict=True):
        values, counts = np.unique(drawn[name].round(2), return_counts=True)
        axes.bar(values, counts / len(drawn[name]), width=0.008, color=OURS, alpha=0.75)
        axes.axvline(whole[name], color=CARD, lw=2)
        axes.set_title(name, loc="left", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=GREY, lw=0.3, axis="y")
        axes.set_axisbelow(True)
    figure.supxlabel(f"score on {rows} rows; the line is the score on all {all_rows:,}")
    return figure


def draw_leak(starts: Mapping[str, Floats], card: Floats) -> Figure:
    """Validation accuracy by epoch: a band for each start, (seeds, epochs), and the card."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    epochs = range(1, len(card) + 1)
    for (name, values), color in zip(starts.items(), (GREY, INK, OURS), strict=True):
        low, high = values.min(axis=0), values.max(axis=0)
        axes.plot(epochs, (low + high) / 2, "o-", color=color, label=name)
        axes.fill_between(epochs, low, high, color=color, alpha=0.2, lw=0)
    axes.plot(epochs, card, "D--", color=CARD, label="the card's own table")
    axes.set_xticks(epochs)
    finish(axes, "", "epoch", "accuracy on the validation rows")
    return figure


def draw_words(differences: Floats, stacked: Mapping[int, Floats], words: Sequence[str]) -> Figure:
    """Shares of the words over the true difference, a panel for each number of runs.

    Args:
        differences: in accuracy, ours lower; shape (points,).
        stacked: by number of runs; each of shape (points, words).
        words: what the shares are of.
    """
    figure = Figure(figsize=(10, 2.9), layout="constrained")
    colors = dict(zip(words, ("#2a9d6f", "#c9ced6", "#8fc8e8", CARD, CARD), strict=True))
    panels = figure.subplots(1, len(stacked), sharey=True)
    for axes, (n, shares) in zip(panels, stacked.items(), strict=True):
        areas = axes.stackplot(100 * differences, shares.T, colors=[colors[w] for w in words])
        axes.axvline(0.5, color=INK, lw=0.8, ls=":")
        axes.set_title(f"{n} run{'s' if n > 1 else ''}", loc="left", fontsize=11)
        axes.set_xlim(0, 100 * differences[-1])
        axes.set_ylim(0, 1)
        axes.spines[["top", "right"]].set_visible(False)
    names = {"higher": None, "lower": "higher or lower"}
    handles = [(a, names.get(w, w)) for a, w in zip(areas, words, strict=True) if names.get(w, w)]
    figure.legend(*zip(*handles, strict=True), loc="outside upper left", ncols=4, frameon=False,
                  fontsize=9)  # fmt: skip
    figure.supxlabel("ours is lower by, points of accuracy (dotted: the margin)", fontsize=10)
    return figure
