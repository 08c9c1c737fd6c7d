"""The figure: a line for each group, with its seeds, its claim and what others published."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cardproof.claims.published import ReferenceDistribution, accuracies
from cardproof.claims.variation import own_spread, widths
from cardproof.pages.drawing import CARD, GRID, INK, OURS, PAPER, Drawn, finish
from cardproof.runs.groups import Group

MOST_LINES = 120
LEVEL = 0.95


@dataclass(frozen=True)
class Drawing:
    """The figure and what to say of it."""

    drawn: Drawn
    caption: str  # how to read it, and what was left out of it


def draw(groups: Sequence[Group]) -> Drawing | None:
    """Accuracy by group: dots for seeds, their mean and interval, claims, published runs.

    None where no group has an accuracy.
    """
    scored = [group for group in groups if group.values("evaluate.accuracy")]
    if not scored:
        return None
    shown = scored[:MOST_LINES]
    labels = [textwrap.fill(g.label, 30, max_lines=4, placeholder=" …") for g in shown]
    heights = [0.34 + 0.15 * label.count("\n") for label in labels]
    figure = Figure(figsize=(9, 1.5 + sum(heights)), layout="constrained")
    axes = figure.subplots()
    places = _places(heights)
    bands = [published(group) for group in shown]
    for group, y, height, band in zip(shown, places, heights, bands, strict=True):
        if band:
            low, high = min(band.values), max(band.values)
            axes.fill_between(
                [low, high], y - height / 2, y + height / 2, color=GRID, lw=0, zorder=0,
                label="published runs",
            )  # fmt: skip
        _draw_group(axes, group, y)
    axes.set_yticks(places, labels)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)  # a title may hold dollar signs
    axes.set_ylim(-sum(heights), 0)
    finish(axes, "", "accuracy", "", legend=False)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    _legend(figure, axes)
    drawn = Drawn(figure, _alt(shown))
    return Drawing(drawn, _caption(len(scored), len(shown), any(bands)))


def published(group: Group) -> ReferenceDistribution | None:
    """Accuracies of published runs on about as many reviews; of IMDb's reviews only."""
    rows = group.values("split.train_rows")
    if group.recipe.reviews_name != "imdb" or not rows:
        return None
    return accuracies(round(max(rows)))


def _places(heights: Sequence[float]) -> list[float]:
    """The middle of each line, from the top down."""
    return [-(sum(heights[:i]) + height / 2) for i, height in enumerate(heights)]


def _draw_group(axes: Axes, group: Group, y: float) -> None:
    values = group.values("evaluate.accuracy")
    spread = own_spread(values)
    mean = sum(values) / len(values)
    if spread:
        half = float(widths(spread, len(values), 0.0, LEVEL).run)
        ends = [max(mean - half, 0), min(mean + half, 1)]  # an accuracy is no more than that
        axes.plot(
            ends, [y, y], color=OURS, lw=1.6, alpha=0.5, zorder=2, label="one more seed, 95 %"
        )
        axes.plot(values, [y] * len(values), "o", color=OURS, ms=4.5, mfc=PAPER, mew=1.1,
                  zorder=4, label="a seed")  # fmt: skip
    axes.plot(mean, y, "o", color=OURS, ms=8.5, zorder=3, label="mean of our runs")
    claim = group.claim("accuracy")
    if claim and claim.claimed:
        ends = [claim.claimed.low, claim.claimed.high]
        axes.plot(ends, [y, y], color=CARD, lw=6, alpha=0.4, zorder=1, solid_capstyle="butt")
        axes.plot(claim.claimed.value, y, "D", color=CARD, ms=6.5, mec=PAPER, mew=0.6, zorder=5,
                  label="claimed")  # fmt: skip


def _legend(figure: Figure, axes: Axes) -> None:
    """One entry for each kind of mark, above the axes."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    figure.legend(
        once.values(), once, loc="outside upper left", ncols=5, frameon=False, fontsize=9,
        labelcolor=INK, handlelength=1.4, columnspacing=1.4,
    )  # fmt: skip


def _alt(groups: Sequence[Group]) -> str:
    means = [found.mean for g in groups if (found := g.summary("evaluate.accuracy"))]
    return f"Mean accuracy of each group of runs, from {min(means):.4f} to {max(means):.4f}."


def _caption(scored: int, shown: int, band: bool) -> str:
    said = "Accuracy of each group."
    if band:
        said += (
            " Shaded: published runs of DistilBERT on about as many reviews of IMDb, where there "
            "are five or more."
        )
    if shown < scored:
        said += f" The first {shown} of {scored} groups are drawn; the table holds all."
    return said
