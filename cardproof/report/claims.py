"""A card's claims beside what a run measured."""

from dataclasses import dataclass

from cardproof.params import Claims
from cardproof.printed import PrintedFigure, is_blank, parse_figure, print_like

MEBIBYTE = 2**20
EPOCH_FIELDS = ("training_loss", "epoch", "step", "validation_loss", "accuracy")

# A claim's key: its name for people, and the metric it is about. {averaging} is the card's.
_MEASURED_BY = {
    "accuracy": ("accuracy", "evaluate.accuracy"),
    "loss": ("cross-entropy loss", "evaluate.loss"),
    "f1": ("F1 ({averaging})", "evaluate.f1_{averaging}"),
    "precision": ("precision ({averaging})", "evaluate.precision_{averaging}"),
    "recall": ("recall ({averaging})", "evaluate.recall_{averaging}"),
    "milliseconds_per_example": ("time per example", "evaluate_time.milliseconds_per_example"),
    "steps": ("optimizer steps", "train.steps"),
    "train_rows": ("training rows", "split.train_rows"),
    "validation_rows": ("validation rows", "split.validation_rows"),
    "test_rows": ("test rows", "split.test_rows"),
    "scored_rows": ("scored rows", "evaluate.rows"),
    "parameters": ("parameters", "train.parameters"),
    "model_mebibytes": ("model file, MiB", "train.model_bytes"),
}
HEADLINES = ("accuracy", "loss", "f1", "precision", "recall")


@dataclass(frozen=True)
class Comparison:
    """One claim and what came of it.

    Attributes:
        key: the claim's key in params.yaml, or `epoch_<n>_<column>` for a cell of its table.
        name: the figure's name for people.
        printed: the claim as the card prints it.
        claimed: the interval it stands for; None where the card has a placeholder.
        measured: ours in plain units (a share, rows, MiB); None where the run has no such figure.
        shown: ours in the card's own format; empty without a measurement.
    """

    key: str
    name: str
    printed: str
    claimed: PrintedFigure | None
    measured: float | None
    shown: str

    @property
    def full(self) -> str:
        """Ours with digits to spare: four decimals, or a count."""
        if self.measured is None or self.claimed is None:
            return self.shown
        return f"{self.measured:.4f}" if self.measured < 10 else f"{self.measured:,.0f}"

    @property
    def difference(self) -> float | None:
        """Measured minus claimed."""
        if self.claimed is None or self.measured is None:
            return None
        return self.measured - self.claimed.value

    @property
    def inside(self) -> bool | None:
        """Whether ours prints as the claim does."""
        if self.claimed is None or self.measured is None:
            return None
        return self.claimed.covers(self.measured)


def compare_claims(claims: Claims, metrics: dict[str, float]) -> list[Comparison]:
    """Put each figure that a card claims beside the run's, in the card's order.

    Args:
        claims: as printed.
        metrics: of the run, by "<file>.<key>".
    """
    compared = []
    for key, (name, metric) in _MEASURED_BY.items():
        printed = getattr(claims, key)
        if printed is None:
            continue
        measured = metrics.get(metric.format(averaging=claims.averaging))
        if key == "model_mebibytes" and measured is not None:
            measured /= MEBIBYTE
        compared.append(_compare(key, name.format(averaging=claims.averaging), printed, measured))
    return compared


def compare_epochs(claims: Claims, epochs: list[dict[str, float | None]]) -> list[list[Comparison]]:
    """Put each cell of a card's per-epoch table beside the run's row of the same epoch.

    Returns:
        For each of the card's rows its five cells: training loss, epoch, step, validation loss
        and accuracy.
    """
    table = []
    for printed_row in claims.epochs:
        number = parse_figure(printed_row[1]).value
        ours = next((e for e in epochs if e["epoch"] == number), {})
        cells = [
            _compare(
                f"epoch_{number:g}_{field}",
                f"{field.replace('_', ' ')}, epoch {number:g}",
                printed,
                ours.get(field),
            )
            for field, printed in zip(EPOCH_FIELDS, printed_row, strict=True)
        ]
        table.append(cells)
    return table


def _compare(key: str, name: str, printed: str, measured: float | None) -> Comparison:
    claimed = None if is_blank(printed) else parse_figure(printed)
    shown = "" if measured is None else print_like(printed, measured)
    return Comparison(key, name, printed, claimed, measured, shown)


def claim_metrics(compared: list[Comparison]) -> dict[str, float]:
    """Flat metrics of the headline claims: claimed, measured, difference, inside (0 or 1)."""
    figures: dict[str, float] = {}
    for c in compared:
        if c.key not in HEADLINES or c.measured is None:
            continue
        figures[f"{c.key}_measured"] = c.measured
        if c.claimed is not None and c.difference is not None:
            figures[f"{c.key}_claimed"] = c.claimed.value
            figures[f"{c.key}_difference"] = c.difference
            figures[f"{c.key}_inside"] = int(bool(c.inside))
    return figures
