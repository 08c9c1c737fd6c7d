"""The figure: a line for each group, with its seeds, its claim and what others published."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cardproof.claims.published import Yardstick, accuracies
from cardproof.evaluation.statistics import Interval, prediction_interval
from cardproof.pages.drawing import CARD, INK, OURS, finish, to_png
from cardproof.runs.groups import Group

MOST_LINES = 120
BAND = "#d5dae1"
SEED_MARK: dict[str, Any] = {"ms": 4.5, "mfc": "white", "mew": 1.1}
LEVEL = 0.95


@dataclass(frozen=True)
class Drawing:
    """The figure and what to say of it.

    Attributes:
        png: its bytes.
        alt: what it shows, for those who do not see it.
        caption: how to read it, and what was left out of it.
    """

    png: bytes
    alt: str
    caption: str


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
                [low, high], y - height / 2, y + height / 2, color=BAND, lw=0, zorder=0
            )
        _draw_group(axes, group, y)
    axes.set_yticks(places, labels)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)  # a title may hold dollar signs
    axes.set_ylim(-sum(heights), 0)
    finish(axes, "", "accuracy", "")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    _legend(figure, shown, any(bands))
    return Drawing(to_png(figure), _alt(shown), _caption(scored, shown, bands))


def published(group: Group) -> Yardstick | None:
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
    interval = one_more_run(values)
    if interval:
        ends = [max(interval.low, 0), min(interval.high, 1)]  # an accuracy is no more than that
        axes.plot(ends, [y, y], color=OURS, lw=1.6, alpha=0.5, zorder=2)
        axes.plot(values, [y] * len(values), "o", color=OURS, **SEED_MARK, zorder=4)
    axes.plot(sum(values) / len(values), y, "o", color=OURS, ms=8.5, zorder=3)
    claim = group.claim("accuracy")
    if claim and claim.claimed:
        axes.plot(claim.claimed.value, y, "D", color=CARD, ms=6.5, mec="white", mew=0.6, zorder=5)


def one_more_run(values: Sequence[float]) -> Interval | None:
    """Where one more run lies in 95 % of cases; None for a single run."""
    return prediction_interval(values, LEVEL) if len(values) > 1 else None


def _legend(figure: Figure, groups: Sequence[Group], band: bool) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=OURS, marker="o", ms=8.5, ls="", label="mean of our runs")
    ]
    if any(len(group.runs) > 1 for group in groups):
        handles += [
            Line2D([], [], color=OURS, marker="o", **SEED_MARK, ls="", label="a seed"),
            Line2D([], [], color=OURS, lw=1.6, alpha=0.5, label="one more seed, 95 %"),
        ]
    if any((claim := group.claim("accuracy")) and claim.claimed for group in groups):
        handles.append(Line2D([], [], color=CARD, marker="D", ms=6.5, ls="", label="claimed"))
    if band:
        handles.append(Patch(color=BAND, lw=0, label="published runs"))
    figure.legend(
        handles=handles, loc="outside upper left", ncols=5, frameon=False, fontsize=9,
        labelcolor=INK, handlelength=1.4, columnspacing=1.4,
    )  # fmt: skip


def _alt(groups: Sequence[Group]) -> str:
    means = [sum(v) / len(v) for group in groups if (v := group.values("evaluate.accuracy"))]
    if len(means) == 1:
        return f"Accuracy of {groups[0].label}: {means[0]:.4f}."
    return (
        f"Accuracy of {len(groups)} groups of runs, a line each: means from {min(means):.4f} to "
        f"{max(means):.4f}. The table holds the numbers."
    )


def _caption(
    scored: Sequence[Group], shown: Sequence[Group], bands: Sequence[Yardstick | None]
) -> str:
    said = ["Accuracy of each group."]
    if any(bands):
        said.append("Grey: published runs of DistilBERT on about as many reviews of IMDb.")
    without = [group for group, band in zip(shown, bands, strict=True) if not band]
    if any(group.recipe.reviews_name != "imdb" for group in without):
        said.append("No grey band stands behind runs on other reviews than IMDb's.")
    if any(group.recipe.reviews_name == "imdb" for group in without):
        said.append(
            "Where none stands behind a run on IMDb, fewer than five runs were published on about "
            "as many reviews."
        )
    if len(shown) < len(scored):
        said.append(
            f"The first {len(shown)} of {len(scored)} groups are drawn; the table holds all."
        )
    return " ".join(said)
