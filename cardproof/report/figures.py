"""The report's figures, as PNG bytes. The same input gives the same bytes."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cardproof import scores
from cardproof.params import Claims
from cardproof.printed import parse_figure
from cardproof.report.facts import Rows, RunFacts

OURS, CARD, INK, GREY = "#1f5fbf", "#d9720f", "#1d2733", "#8a94a3"
DPI = 160


def draw_figures(run: RunFacts) -> dict[str, bytes]:
    """Draw every figure of a run, by name."""
    return {
        "training": training_figure(run.curve, run.epochs, run.recipe.card.claims),
        "confusion": confusion_figure(run.labels, run.logits),
        "curves": curves_figure(run.labels, run.logits),
        "reliability": reliability_figure(run.labels, run.logits),
    }


def training_figure(curve: Rows, epochs: Rows, claims: Claims) -> bytes:
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
    if claims.epochs:
        table = np.array([[parse_figure(cell).value for cell in row] for row in claims.epochs])
        left.plot(table[:, 2], table[:, 0], "^", color=CARD, mfc="none", label="training, card")
        left.plot(table[:, 2], table[:, 3], "D", color=CARD, label="validation, card")
        right.plot(table[:, 1], table[:, 4], "D--", color=CARD, lw=1, label="card")
    _finish(left, "Loss", "optimizer step", "cross-entropy")
    left.set_ylim(bottom=0)
    if validated or claims.epochs:
        _finish(right, "Accuracy on the validation rows", "epoch", "accuracy")
        last = max(e["epoch"] or 1 for e in epochs) if validated else len(claims.epochs)
        right.set_xlim(0.5, max(last, len(claims.epochs)) + 0.5)
        right.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    else:
        _say(right, "This card validates on no rows.")
    return _png(figure)


def confusion_figure(labels: NDArray[np.int64], logits: NDArray[np.floating]) -> bytes:
    """The confusion matrix with counts and the share of each row."""
    figures = scores.score(labels, logits)
    counts = np.array(
        [
            [figures["true_negatives"], figures["false_positives"]],
            [figures["false_negatives"], figures["true_positives"]],
        ]
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(4.6, 3.8), layout="constrained")
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
    axes.set_title("Who is taken for what", loc="left", fontsize=11, color=INK)
    return _png(figure)


def curves_figure(labels: NDArray[np.int64], logits: NDArray[np.floating]) -> bytes:
    """ROC and precision-recall curves."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    roc = scores.roc_points(labels, logits)
    if not roc:
        for axes in (left, right):
            _say(axes, "Only one class was scored: there is no curve.")
        return _png(figure)
    area = scores.score(labels, logits)["roc_auc"]
    left.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":")
    left.plot([p["fpr"] for p in roc], [p["tpr"] for p in roc], color=OURS, lw=2)
    _finish(left, f"ROC (area {area:.4f})", "false positive rate", "true positive rate")
    points = scores.precision_recall_points(labels, logits)
    right.plot([p["recall"] for p in points], [p["precision"] for p in points], color=OURS, lw=2)
    _finish(right, "Precision and recall", "recall", "precision")
    for axes in (left, right):
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    return _png(figure)


def reliability_figure(labels: NDArray[np.int64], logits: NDArray[np.floating]) -> bytes:
    """Confidence against accuracy, and how many rows have which confidence."""
    bins = scores.reliability_bins(labels, logits)
    error = scores.expected_calibration_error(bins)
    figure = Figure(figsize=(4.6, 3.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0.5, 1], [0.5, 1], color=GREY, lw=1, ls=":", label="perfect")
    confidence = [b["confidence"] for b in bins]
    accuracy = [b["accuracy"] for b in bins]
    upper.plot(confidence, accuracy, color=OURS, lw=1, alpha=0.6)
    # A dot's area grows with its rows: a stray dot of three rows should not look like a finding.
    areas = [12 + 120 * b["rows"] / len(labels) for b in bins]
    upper.scatter(confidence, accuracy, areas, color=OURS, label="this run", zorder=3)
    _finish(upper, f"Calibration (error {error:.3f})", "", "accuracy")
    upper.set(xlim=(0.49, 1.01))
    lower.bar(confidence, [b["rows"] for b in bins], width=0.035, color=OURS, alpha=0.6)
    _finish(lower, "", "confidence", "rows")
    return _png(figure)


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
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, wrap=True)


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color="#e6e9ee", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No software version in the file: its bytes change only when the picture does.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
