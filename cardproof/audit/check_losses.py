"""Losses against accuracies, and against the losses of the epochs before."""

import math
import re
from collections.abc import Iterator

from cardproof.audit.check_agreement import in_row, row_name, shared_figures, swapped_columns
from cardproof.audit.facts import CardFacts, Checked, Finding, TrainingRow
from cardproof.audit.records import read_records

_GENERATES = re.compile(
    r"t5|bart|gpt|pegasus|marian|whisper|wav2vec", re.I
)  # their accuracy is of texts
_MUCH = 1.1  # a loss a tenth above the lowest is called higher


def lowest_loss(accuracy: float) -> float:
    """The lowest mean cross-entropy, in nats, that a classifier of this accuracy can have.

    On a row that it gets wrong the true class has at most half of the probability, as another has
    at least as much: at least ln 2 for each wrong row, and 0 for each right one.
    """
    return (1 - accuracy) * math.log(2)


def highest_calibrated_loss(accuracy: float) -> float:
    """The highest mean cross-entropy that a *calibrated* two-class classifier can have.

    With confidence c in its answers, calibrated means: it is right in a share c of the rows, and
    its expected loss there is the binary entropy H(c). H is concave, so by Jensen's inequality the
    mean of H(c) is at most H of the mean c, which is the accuracy.
    """
    if not 0 < accuracy < 1:
        return 0.0
    wrong = 1 - accuracy
    return -accuracy * math.log(accuracy) - wrong * math.log(wrong)


def check_lowest_loss(facts: CardFacts) -> Iterator[Finding | Checked]:
    """A loss that is too low for the accuracy beside it, and so is none of plain cross-entropy."""
    if not facts.task.classification or not facts.loss_is_plain or facts.multi_label:
        return
    if swapped_columns(facts) or _GENERATES.search(facts.base or ""):
        return
    for record in read_records(facts):
        accuracy, loss = record.scores.get("accuracy"), record.scores.get("loss")
        if "auc" in record.scores:
            continue  # a sum over several labels, of which accuracy asks for all
        if record.of or not accuracy or not loss or accuracy.text[:2] not in ("0.", "1", "1."):
            continue  # a percentage without its sign may be a loss in a column of accuracies
        floor = lowest_loss(min(accuracy.figure.high, 1.0))
        if floor <= 0:
            continue  # every loss is possible without an error
        if loss.figure.high >= floor:
            yield Checked("loss against accuracy")
        else:
            yield Finding(
                "loss-too-low",
                "note",
                f"A loss of {loss.text} is below what accuracy {accuracy.text} costs "
                f"({record.where}), at least ln 2 for each wrong row: it is no mean cross-entropy "
                "of one label, or one of the two is of other rows.",
                f"(1 - {min(accuracy.figure.high, 1.0):.5g}) x 0.6931 = {floor:.5f} > "
                f"{loss.figure.high:.5g}",
                record.line,
            )
            return


def check_calibration(facts: CardFacts) -> Iterator[Finding]:
    """A headline loss that is too high for a calibrated classifier of its accuracy."""
    accuracy, loss = facts.headline("accuracy"), facts.headline("loss")
    if not accuracy or not loss or not (facts.task.imdb and facts.loss_is_plain):
        return
    if (accuracy.split or loss.split) != (
        loss.split or accuracy.split
    ) or not 0.5 < accuracy.printed.figure.low < 0.999:
        return
    ceiling = highest_calibrated_loss(accuracy.printed.figure.low)
    if loss.printed.figure.low > ceiling:
        yield Finding(
            "miscalibrated",
            "note",
            f"With accuracy {accuracy.printed.text} its loss of {loss.printed.text} is too high "
            "for honest probabilities: they are too sure or too unsure.",
            f"calibrated, at most H({accuracy.printed.figure.low:.5g}) = {ceiling:.4f} < "
            f"{loss.printed.figure.low:.5g}",
            loss.line,
        )


def check_rising_loss(facts: CardFacts) -> Iterator[Finding]:
    """An evaluation loss that rises after its best epoch."""
    rows = [row for row in facts.training_rows if row.loss]
    if len(rows) < 2 or swapped_columns(facts):
        return
    best, last = min(rows, key=_loss), rows[-1]
    if _loss(best) == 0 or _loss(last) < _MUCH * _loss(best):
        return
    text = (
        f"Its evaluation loss is lowest at {row_name(best)}, {_loss_text(best)}, and "
        f"{_loss(last) / _loss(best) - 1:.0%} higher at the end, {_loss_text(last)}"
    )
    accuracies = [row.scores.get("accuracy") for row in (best, last)]
    if accuracies[0] and accuracies[1]:
        change = accuracies[1].figure.value - accuracies[0].figure.value
        text += f"; accuracy changes by {change:+.4g}"
    yield Finding(
        "loss-rises",
        "note",
        f"{text}.",
        "evaluation losses: " + ", ".join(_loss_text(row) for row in rows[:20]),
        best.line,
    )


def check_best_checkpoint(facts: CardFacts) -> Iterator[Finding]:
    """Whether the one row of the table that has all headline figures is the best one."""
    shared, rows = shared_figures(facts)
    ours = [row for row in rows if all(in_row(claim, row) for claim in shared.values())]
    if "loss" not in shared or len(ours) != 1 or facts.further_rows or swapped_columns(facts):
        return
    row, best = ours[0], min(rows, key=_loss)
    losses = f"evaluation losses: {', '.join(_loss_text(row) for row in rows[:20])}"
    if row is best and row is not rows[-1]:
        yield Finding(
            "best-checkpoint",
            "note",
            f"Its headline figures are those of {row_name(row)}, the lowest loss, and not of the "
            f"last row, as when the best checkpoint is reloaded.{_better_accuracy(row, rows)}",
            losses,
            shared["loss"].line,
        )
    elif _loss(row) >= _MUCH * _loss(best):
        yield Finding(
            "headline-not-best",
            "note",
            f"Its headline figures are those of {row_name(row)}, with loss {_loss_text(row)}; "
            f"{row_name(best)} has the lowest, {_loss_text(best)}. It is not the best "
            "checkpoint by loss.",
            losses,
            shared["loss"].line,
        )


def _better_accuracy(chosen: TrainingRow, rows: list[TrainingRow]) -> str:
    """A sentence on a row whose accuracy is above that of the chosen row, or nothing."""
    scored = [(row.scores["accuracy"], row) for row in rows if "accuracy" in row.scores]
    if not scored or "accuracy" not in chosen.scores:
        return ""
    accuracy, row = max(scored, key=lambda pair: pair[0].figure.value)
    if accuracy.figure.value <= chosen.scores["accuracy"].figure.value:
        return ""
    return f" {row_name(row).capitalize()} has the higher accuracy, {accuracy.text}."


def _loss(row: TrainingRow) -> float:
    return row.loss.figure.value if row.loss else math.inf


def _loss_text(row: TrainingRow) -> str:
    return row.loss.text if row.loss else "none"
