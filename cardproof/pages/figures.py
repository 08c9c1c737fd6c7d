"""The figures of a report, as PNG bytes: the same input gives the same bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cardproof.claims.judge import JudgedClaim
from cardproof.evaluation import metrics as scores
from cardproof.evaluation.error_analysis import Calibration, CoveragePoint, LengthBucket
from cardproof.evaluation.metrics import Floats
from cardproof.evaluation.statistics import wilson_interval
from cardproof.pages.drawing import CARD, GREY, INK, OURS, SCALED, SOFT, finish, to_png
from cardproof.runs.findings import Findings
from cardproof.runs.reading import Predictions, Rows


def draw_figures(findings: Findings) -> dict[str, bytes]:
    """Draw every figure of a run's report, by name."""
    outputs, found = findings.outputs, findings.analysis
    area = outputs.run.metrics.get("evaluate.roc_auc")
    return {
        "training": training_figure(outputs.curve, outputs.epochs, findings.claimed_epochs),
        "confusion": confusion_figure(outputs.scored),
        "curves": curves_figure(outputs.scored, area),
        "reliability": reliability_figure(found.calibration, found.scaled),
        "coverage": coverage_figure(found.selective, found.coverage),
        "lengths": lengths_figure(found.lengths, found.calibration.accuracy),
    }


def training_figure(curve: Rows, epochs: Rows, claimed: Sequence[Sequence[JudgedClaim]]) -> bytes:
    """Losses over steps and accuracy over epochs, the card's own points drawn in."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    if curve:  # a run shorter than one logging interval has none
        steps = [p["step"] or 0 for p in curve]
        left.plot(steps, [p["training_loss"] for p in curve], color=OURS, alpha=0.35, lw=1)
        left.plot(*_smooth(curve), color=OURS, lw=2, label="training loss")
    validated = [e for e in epochs if e["validation_loss"] is not None]
    _points(left, validated, "step", "validation_loss", "validation loss")
    _points(right, validated, "epoch", "accuracy", "validation accuracy")
    if claimed:
        table = [[c.claimed.value if c.claimed else np.nan for c in row] for row in claimed]
        training, number, step, validation, accuracy = np.array(table).T
        mark: dict[str, Any] = {"color": CARD, "ms": 9, "mfc": "none"}
        left.plot(step, training, "^", **mark, label="training, card")
        left.plot(step, validation, "D", **mark, label="validation, card")
        right.plot(number, accuracy, "D--", **mark, lw=1, label="card")
    finish(left, "Loss", "optimizer step", "cross-entropy")
    left.set_ylim(bottom=0)
    if validated or claimed:
        finish(right, "Accuracy on the validation rows", "epoch", "accuracy")
        last = max(e["epoch"] or 1 for e in epochs) if validated else len(claimed)
        right.set_xlim(0.5, max(last, len(claimed)) + 0.5)
        right.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    else:
        _say(right, "This run validates on no rows.")
    return to_png(figure)


def confusion_figure(scored: Predictions) -> bytes:
    """The confusion matrix with counts and the share of each row."""
    cells = 2 * scored.labels + scored.logits.argmax(axis=1)
    counts = np.bincount(cells, minlength=4).reshape(2, 2)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(4.2, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{int(counts[row, column]):,}\n{share:.1%}"
        color = "white" if share > 0.5 else INK
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=13)
    names = ["negative", "positive"]
    axes.set_xticks([0, 1], names)
    axes.set_yticks([0, 1], names, rotation=90, va="center")
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    axes.set_title("Confusion matrix", loc="left", fontsize=11, color=INK)
    return to_png(figure)


def curves_figure(scored: Predictions, area: float | None) -> bytes:
    """ROC and precision-recall curves; `area` is that under the ROC, None for a single class."""
    figure = Figure(figsize=(7.3, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    roc = scores.roc_points(scored.labels, scored.logits)
    if not roc:
        for axes in (left, right):
            _say(axes, "Only one class was scored: there is no curve.")
        return to_png(figure)
    left.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
    left.plot([p["fpr"] for p in roc], [p["tpr"] for p in roc], color=OURS, lw=2)
    title = "ROC" if area is None else f"ROC (area {area:.4f})"
    finish(left, title, "false positive rate", "true positive rate")
    points = scores.precision_recall_points(scored.labels, scored.logits)
    right.plot([p["recall"] for p in points], [p["precision"] for p in points], color=OURS, lw=2)
    finish(right, "Precision-recall", "recall", "precision")
    for axes in (left, right):
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    return to_png(figure)


def reliability_figure(before: Calibration, after: Calibration | None) -> bytes:
    """Confidence against accuracy, and how many rows have which confidence.

    Args:
        before: of the logits as they are.
        after: of the logits at a temperature; None without one.
    """
    figure = Figure(figsize=(4.6, 3.8), layout="constrained")
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
    return to_png(figure)


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


def coverage_figure(selective: Floats, points: list[CoveragePoint]) -> bytes:
    """Accuracy on the most confident rows alone, against their share of all rows.

    Args:
        selective: accuracy on the k most confident rows, for each k from 1; shape (rows,).
        points: of that curve, to be named.
    """
    figure = Figure(figsize=(4.6, 3.8), layout="constrained")
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
    return to_png(figure)


def lengths_figure(buckets: list[LengthBucket], accuracy: float) -> bytes:
    """Accuracy by length with Wilson's intervals, and the share of truncated tokens.

    Args:
        buckets: those with rows in them.
        accuracy: over all rows.
    """
    figure = Figure(figsize=(4.6, 3.8), layout="constrained")
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
    return to_png(figure)


def _smooth(curve: Rows, windows: int = 25) -> tuple[list[float], list[float]]:
    """Means of the curve over about `windows` stretches: steps and losses."""
    chunks = np.array_split(np.arange(len(curve)), min(windows, len(curve)))
    steps = np.array([p["step"] for p in curve], dtype=float)
    losses = np.array([p["training_loss"] for p in curve], dtype=float)
    means = [(steps[c].mean(), losses[c].mean()) for c in chunks if len(c)]
    return [m[0] for m in means], [m[1] for m in means]


def _points(axes: Axes, rows: Rows, x: str, y: str, label: str) -> None:
    if rows:
        points = np.array([[r[x], r[y]] for r in rows], dtype=float)
        axes.plot(points[:, 0], points[:, 1], "o-", color=INK, label=label)


def _say(axes: Axes, text: str) -> None:
    axes.axis("off")
    axes.text(0.5, 0.5, text, ha="center", va="center", color=SOFT, wrap=True)
