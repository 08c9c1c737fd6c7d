"""The figures of a report, as SVG: the same input gives the same text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from cardproof.evaluation import metrics as scores
from cardproof.evaluation.error_analysis import Calibration, CoveragePoint, LengthBucket
from cardproof.evaluation.metrics import Floats
from cardproof.evaluation.statistics import wilson_interval
from cardproof.pages.drawing import (
    CARD,
    GREY,
    INK,
    OURS,
    PAPER,
    SCALED,
    SOFT,
    Drawn,
    finish,
    inline_svg,
)
from cardproof.pages.explanations import explain
from cardproof.pages.formats import count, number
from cardproof.pages.settings import label_names
from cardproof.recipe.reported import is_blank, parse_figure
from cardproof.runs.findings import Findings
from cardproof.runs.reading import Predictions, Rows

HALF, THIRD = (4.3, 3.2), (3.4, 3.2)  # inches; of a page's width, or of a phone's
WINDOWS = 25  # stretches that a long training curve is smoothed over


def draw_figures(findings: Findings) -> dict[str, Markup]:
    """Draw every figure of a run's report, by name."""
    outputs, found = findings.outputs, findings.analysis
    scored, epochs = outputs.scored, outputs.epochs
    area = outputs.run.metrics.get("evaluate.roc_auc")
    claimed = outputs.run.recipe.card.claims.epochs
    said = explain(findings)
    drawn = {
        "loss": loss_figure(outputs.curve, epochs, claimed),
        "accuracy": accuracy_figure(epochs, claimed),
        "confusion": confusion_figure(scored, label_names(outputs.run.recipe.card)),
        "roc": roc_figure(scored, area),
        "precision_recall": precision_recall_figure(scored),
        "reliability": Drawn(
            reliability_figure(found.calibration, found.scaled), said["calibration"]
        ),
        "coverage": Drawn(coverage_figure(found.selective, found.coverage), said["selective"]),
        "lengths": Drawn(
            lengths_figure(found.lengths, found.calibration.accuracy), said["lengths"]
        ),
    }
    return {name: inline_svg(figure, name) for name, figure in drawn.items()}


def loss_figure(curve: Rows, epochs: Rows, claimed: Sequence[Sequence[str]]) -> Drawn:
    """Losses over steps, the card's own points drawn in.

    Args:
        curve: the training curve; a run shorter than one logging interval has none.
        epochs: the per-epoch table of the run.
        claimed: that of the card, as printed.
    """
    figure = Figure(figsize=HALF, layout="constrained")
    axes = figure.subplots()
    steps = np.array([p["step"] for p in curve], dtype=float)
    losses = np.array([p["training_loss"] for p in curve], dtype=float)
    if len(curve) > WINDOWS:
        axes.plot(steps, losses, color=OURS, alpha=0.35, lw=1)
        axes.plot(*_smooth(steps, losses), color=OURS, lw=2, label="training loss")
    elif len(curve):  # so few that each is a point of its own
        axes.plot(steps, losses, "o-", color=OURS, ms=4, label="training loss")
    validated = [e for e in epochs if e["validation_loss"] is not None]
    _points(axes, validated, "step", "validation_loss", "validation loss")
    training, _, step, validation, _ = _plain(claimed).T
    mark: dict[str, Any] = {"color": CARD, "ms": 8, "mfc": "none", "ls": "none"}
    if len(claimed):
        axes.plot(step, training, "^", **mark, label="training, card")
        axes.plot(step, validation, "D", **mark, label="validation, card")
    finish(axes, "Loss", "optimizer step", "cross-entropy")
    axes.set_ylim(bottom=0)
    if not len(curve):
        none = "no training loss: the run is shorter\nthan one logging interval"
        axes.text(0.5, 0.5, none, transform=axes.transAxes, ha="center", color=SOFT, fontsize=9)
        return Drawn(figure, "Loss by optimizer step: no training loss was logged.")
    alt = f"Training loss by optimizer step, from {losses[0]:.4f} to {losses[-1]:.4f}."
    last = number(validated[-1]["validation_loss"]) if validated else ""
    return Drawn(figure, f"{alt} Validation loss after the last epoch: {last}." if last else alt)


def accuracy_figure(epochs: Rows, claimed: Sequence[Sequence[str]]) -> Drawn:
    """Accuracy on the validation rows over epochs; arguments as of `loss_figure`."""
    figure = Figure(figsize=HALF, layout="constrained")
    axes = figure.subplots()
    validated = [e for e in epochs if e["accuracy"] is not None]
    _points(axes, validated, "epoch", "accuracy", "this run")
    table = _plain(claimed)
    if len(claimed):
        axes.plot(table[:, 1], table[:, 4], "D--", color=CARD, ms=8, mfc="none", lw=1, label="card")
    if not validated and not len(claimed):
        _say(axes, "This run validates on no rows.")
        return Drawn(figure, "Accuracy by epoch: this run validates on no rows.")
    finish(axes, "Accuracy on the validation rows", "epoch", "accuracy", legend=False)
    axes.legend(loc="lower right", frameon=False, fontsize=9, labelcolor=INK)
    last = max([*table[:, 1], *(e["epoch"] or 1 for e in validated)])
    axes.set_xlim(0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    said = ", ".join(f"{number(e['accuracy'])} at epoch {e['epoch']:g}" for e in validated)
    return Drawn(figure, f"Accuracy on the validation rows: {said or 'of the card only'}.")


def confusion_figure(scored: Predictions, names: Sequence[str]) -> Drawn:
    """The confusion matrix with counts and the share of each row; `names` of classes 0 and 1."""
    cells = 2 * scored.labels + scored.logits.argmax(axis=1)
    counts = np.bincount(cells, minlength=4).reshape(2, 2)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=THIRD, layout="constrained")
    axes = figure.subplots()
    for (row, column), share in np.ndenumerate(shares):
        square = Rectangle((column - 0.5, row - 0.5), 1, 1, fc=OURS, ec=GREY, lw=0.8)
        square.set_alpha(0.06 + 0.94 * share)
        axes.add_patch(square)
        text = f"{int(counts[row, column]):,}\n{share:.1%}"
        color = PAPER if share > 0.5 else INK
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=13)
    finish(axes, "Confusion matrix", "predicted", "actual")
    axes.grid(visible=False)
    axes.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5), aspect="equal")
    axes.set_xticks([0, 1], names)
    axes.set_yticks([0, 1], names, rotation=90, va="center")
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # a label may hold dollar signs
    said = (
        f"of {count(int(counts[i].sum()), 'review')} labelled {names[i]}, {counts[i, i]:,} are "
        "predicted so"
        for i in (0, 1)
    )
    return Drawn(figure, f"Confusion matrix: {'; '.join(said)}.")


def roc_figure(scored: Predictions, area: float | None) -> Drawn:
    """The ROC curve; `area` is that under it, None for a single class."""
    figure = Figure(figsize=THIRD, layout="constrained")
    axes = figure.subplots()
    points = scores.roc_points(scored.labels, scored.logits)
    if not points:
        _say(axes, "Only one class was scored:\nthere is no ROC curve.")
        return Drawn(figure, "There is no ROC curve: only one class was scored.")
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
    axes.plot([p["fpr"] for p in points], [p["tpr"] for p in points], color=OURS, lw=2)
    title = "ROC" if area is None else f"ROC (area {area:.4f})"
    finish(axes, title, "false positive rate", "true positive rate")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    return Drawn(figure, f"ROC curve{'' if area is None else f', area {area:.4f} below it'}.")


def precision_recall_figure(scored: Predictions) -> Drawn:
    """Precision against recall of the positive class."""
    figure = Figure(figsize=THIRD, layout="constrained")
    axes = figure.subplots()
    points = scores.precision_recall_points(scored.labels, scored.logits)
    if not points:
        _say(axes, "Only one class was scored:\nthere is no such curve.")
        return Drawn(figure, "There is no precision-recall curve: only one class was scored.")
    axes.plot([p["recall"] for p in points], [p["precision"] for p in points], color=OURS, lw=2)
    finish(axes, "Precision-recall", "recall", "precision")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    least = min(p["precision"] for p in points)
    return Drawn(figure, f"Precision-recall curve; precision is {least:.2f} and more.")


def reliability_figure(before: Calibration, after: Calibration | None) -> Figure:
    """Confidence against accuracy, and how many rows have which confidence.

    Args:
        before: of the logits as they are.
        after: of the logits at a temperature; None without one.
    """
    figure = Figure(figsize=HALF, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0.5, 1], [0.5, 1], color=GREY, lw=1, ls=":")
    _reliability(upper, lower, before, OURS, f"unscaled: error {before.error:.3f}")
    if after:
        _reliability(upper, lower, after, SCALED, f"scaled: {after.error:.3f}")
    finish(upper, "", "", "accuracy")
    # above the axes: within them there is no corner that bars never reach
    upper.legend(frameon=False, fontsize=9, ncols=2, loc="lower left", bbox_to_anchor=(-0.05, 1))
    upper.set(xlim=(0.49, 1.01), ylim=(-0.03, 1.03))
    finish(lower, "", "confidence", "rows")
    return figure


def _reliability(upper: Axes, lower: Axes, c: Calibration, color: str, label: str) -> None:
    confidence = np.array([b["confidence"] for b in c.bins])
    accuracy = np.array([b["accuracy"] for b in c.bins])
    counts = np.array([b["rows"] for b in c.bins])
    found = [wilson_interval(round(a * n), int(n)) for a, n in zip(accuracy, counts, strict=True)]
    bars = [accuracy - [i.low for i in found], [i.high for i in found] - accuracy]
    upper.errorbar(confidence, accuracy, np.maximum(bars, 0), fmt="none", color=color, alpha=0.4)
    # A dot's area grows with its rows: a stray dot of three rows should not look like a finding.
    marker, fill = ("o", color) if color == OURS else ("D", "none")
    upper.scatter(confidence, accuracy, 12 + 120 * counts / counts.sum(), marker=marker,
                  facecolors=fill, edgecolors=color, label=label, zorder=3)  # fmt: skip
    width = 0.5 / scores.RELIABILITY_BINS
    bins = np.clip((confidence - 0.5) // width, 0, scores.RELIABILITY_BINS - 1)
    middles = 0.5 + (bins + 0.5) * width
    lower.bar(middles, counts, 0.9 * width, color=fill, edgecolor=color, alpha=0.6)


def coverage_figure(selective: Floats, points: list[CoveragePoint]) -> Figure:
    """Accuracy on the most confident rows alone, against their share of all rows.

    Args:
        selective: accuracy on the k most confident rows, for each k from 1; shape (rows,).
        points: of that curve, to be named.
    """
    figure = Figure(figsize=HALF, layout="constrained")
    axes = figure.subplots()
    rows = len(selective)
    # The first few rows swing by chance alone: the line begins at 2 % of the rows.
    keep = np.unique(np.linspace(rows // 50, rows - 1, 400).round().astype(int))
    axes.axhline(selective[-1], color=GREY, lw=1, ls=":", label="all rows")
    axes.plot(100 * (keep + 1) / rows, 100 * selective[keep], color=OURS, lw=2)
    x, y = [100 * p.coverage for p in points], [100 * p.accuracy for p in points]
    axes.plot(x, y, "o", color=OURS)
    for p, across, up in zip(points, x, y, strict=True):
        if p.coverage in (1, 0.9, 0.8, 0.5):  # one more would lie on its neighbours
            place = {1: (0, -14), 0.9: (10, 5)}.get(p.coverage, (0, 7))
            axes.annotate(f"{up:.1f}", (across, up), place, textcoords="offset points",
                          ha="center", fontsize=9, color=INK)  # fmt: skip
    finish(axes, "Accuracy by coverage", "coverage, %", "accuracy of those rows, %")
    axes.set_xlim(0, 105)
    low, high = float(100 * selective[keep].min()), float(100 * selective[keep].max())
    room = 0.25 * (high - low) + 1
    axes.set_ylim(low - room, high + room)
    return figure


def lengths_figure(buckets: list[LengthBucket], accuracy: float) -> Figure:
    """Accuracy by length with Wilson's intervals, and the share of truncated tokens.

    Args:
        buckets: those with rows in them.
        accuracy: over all rows.
    """
    figure = Figure(figsize=HALF, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    places = np.arange(len(buckets))
    shares = np.array([100 * b.accuracy for b in buckets])
    below = shares - [100 * b.interval.low for b in buckets]
    above = [100 * b.interval.high for b in buckets] - shares
    upper.axhline(100 * accuracy, color=GREY, lw=1, ls=":", label="all rows")
    # An end of the interval may lie a rounding error on the wrong side of 0 % or 100 %.
    bars = np.maximum([below, above], 0)
    upper.errorbar(places, shares, bars, fmt="o", color=OURS, capsize=4, lw=1.5)
    finish(upper, "Accuracy by length, 95 % intervals", "", "accuracy, %")
    truncated = [100 * b.truncated_tokens for b in buckets]
    lower.bar(places, truncated, width=0.6, color=OURS, alpha=0.6)
    finish(lower, "", "tokens before truncation", "truncated, %")
    lower.set_ylim(0, max(*truncated, 1) * 1.1)
    names = [f"{b.first}–{b.last}" if b.last else f"{b.first}+" for b in buckets]
    lower.set_xticks(places, names, fontsize=8 if len(buckets) > 5 else 9)
    lower.set_xlim(-0.6, len(buckets) - 0.4)
    return figure


def _plain(printed: Sequence[Sequence[str]]) -> Floats:
    """A card's per-epoch table as numbers, blanks as NaN; shape (rows, 5)."""
    values = [[np.nan if is_blank(c) else parse_figure(c).value for c in row] for row in printed]
    return np.array(values, dtype=float).reshape(-1, 5)


def _smooth(steps: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """Means over `WINDOWS` stretches of a curve with more points than that."""
    chunks = np.array_split(np.arange(len(steps)), WINDOWS)
    means = np.array([(steps[c].mean(), losses[c].mean()) for c in chunks])
    return means[:, 0], means[:, 1]


def _points(axes: Axes, rows: Rows, x: str, y: str, label: str) -> None:
    if rows:
        points = np.array([[r[x], r[y]] for r in rows], dtype=float)
        axes.plot(points[:, 0], points[:, 1], "o-", color=INK, label=label)


def _say(axes: Axes, text: str) -> None:
    axes.axis("off")
    axes.text(0.5, 0.5, text, ha="center", va="center", color=SOFT, wrap=True)
