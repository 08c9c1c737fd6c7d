"""Rows, steps and epochs: what the schedule of a card gives away."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from cardproof.audit.facts import CardFacts, Checked, Finding, Printed, TrainingRow
from cardproof.claims.published import IMDB_SPLIT

# How people cut IMDb: what is held out of the train split, or of both splits together.
_IMDB_SIZES = {
    50_000: "both splits",
    45_000: "both splits less a tenth",
    40_000: "both splits less a fifth",
    25_000: "the whole train split",
    24_000: "the train split less 1,000",
    23_750: "the train split less a twentieth",
    22_500: "the train split less a tenth",
    21_250: "the train split less 15 %",
    20_000: "the train split less a fifth",
    18_750: "the train split less a quarter",
    17_500: "the train split less 30 %",
    12_500: "half of the train split",
}


@dataclass(frozen=True)
class StepsPerEpoch:
    """Optimizer steps of one epoch, as far as the figures fix them.

    Attributes:
        low: the fewest.
        high: the most; less than `low` if no constant number fits.
        arithmetic: where they come from.
    """

    low: float
    high: float
    arithmetic: str


def steps_per_epoch(facts: CardFacts) -> StepsPerEpoch | None:
    """Steps per epoch, from the training table or, without one, from steps and epochs in prose."""
    points = [(row.epoch, row.step) for row in facts.training_rows if row.epoch and row.step]
    timed = [(epoch, step) for epoch, step in points if epoch.figure.value > 0]
    if timed:
        found = _from_table(timed)
        return None if _may_be_streamed(facts, found) else found
    steps, epochs = facts.hyperparameters.steps, facts.hyperparameters.epochs
    if steps and epochs and steps % epochs == 0:
        return StepsPerEpoch(steps / epochs, steps / epochs, f"{steps:,} steps / {epochs:g} epochs")
    return None


def _may_be_streamed(facts: CardFacts, steps: StepsPerEpoch) -> bool:
    """Whether the epochs may be fractions of the limit in steps instead of passes over the data.

    Of a streamed data set the Trainer does not know the length: it takes `max_steps` for that of
    an epoch, and begins a new one where the stream ends.
    """
    limit = facts.hyperparameters.max_steps
    fits = steps.low <= steps.high * (1 + 1e-9)
    return limit is not None and (not fits or steps.low <= limit <= steps.high)


def _from_table(points: list[tuple[Printed, int]]) -> StepsPerEpoch:
    """From a table's epochs and steps: exact at whole epochs, else within the printed digits."""
    exact = {step / epoch.figure.value for epoch, step in points}
    first_epoch, first_step = points[0]
    if len(exact) == 1 and all(epoch.figure.value % 1 == 0 for epoch, _ in points):
        only = exact.pop()
        text = (
            f"step {first_step:,} / epoch {first_epoch.figure.value:g} = {only:,g} steps per epoch"
        )
        return StepsPerEpoch(only, only, text)
    half_unit = _epoch_half_unit([epoch for epoch, _ in points])
    low = max((step / (epoch.figure.value + half_unit), step) for epoch, step in points)
    high = min((step / max(epoch.figure.value - half_unit, 1e-9), step) for epoch, step in points)
    text = (
        f"epochs are within {half_unit:g}: step {low[1]:,} gives at least {low[0]:,.1f} "
        f"steps per epoch, step {high[1]:,} at most {high[0]:,.1f}"
    )
    return StepsPerEpoch(low[0], high[0], text)


def _epoch_half_unit(epochs: list[Printed]) -> float:
    """Half a unit of the last decimal of a column of epochs.

    The Trainer rounds to two decimals (newer versions to four) and drops trailing zeros, so that
    the longest number shows the digits of all, and two are the least. Whole numbers without a point
    were rounded by hand.
    """
    decimals = max(len(epoch.text.partition(".")[2]) for epoch in epochs)
    if decimals == 0:
        return 0.5
    return 0.5 * 10.0 ** -max(decimals, 2)


@dataclass(frozen=True)
class RowRange:
    """The numbers of training rows that go with the steps, ends included."""

    low: int
    high: int
    arithmetic: str


def training_row_range(facts: CardFacts) -> RowRange | None:
    """The numbers of training rows behind the steps of one epoch.

    An epoch of R rows in micro-batches of M has ceil(R / M) of them. With G micro-batches to a step
    the Trainer has made ceil(ceil(R / M) / G) steps of them (newer versions) or floor (older ones).
    So N steps mean (N - 1) G M + 1 to N G M rows, and with floor up to (G - 1) M more.
    """
    steps, batch = steps_per_epoch(facts), facts.hyperparameters.rows_per_step
    if steps is None or batch is None:
        return None
    low, high = math.ceil(steps.low - 1e-6), math.floor(steps.high + 1e-6)
    if low > high:
        return None
    accumulation = facts.hyperparameters.accumulation or 1
    left_over = (accumulation - 1) * (batch // accumulation)
    first, last = (low - 1) * batch + 1, high * batch + left_over
    shown = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    text = (
        f"{steps.arithmetic}; {shown} steps of {batch:,} rows: ({low:,} - 1) x {batch:,} + 1 = "
        f"{first:,} to {high:,} x {batch:,} = {high * batch:,}"
    )
    if left_over:
        text += f", and {left_over:,} more where an incomplete accumulation was dropped"
    return RowRange(max(first, 1), last, text)


def check_training_rows(facts: CardFacts) -> Iterator[Finding | Checked]:
    """How many rows it was trained on; nothing if it says otherwise: devices may be unstated."""
    rows, stated = training_row_range(facts), facts.train_rows
    if rows is None:
        return
    if stated:
        if stated.figure.high < rows.low or rows.high < stated.figure.low:
            return
        yield Checked("stated training rows against steps")
    text = f"By its steps and batch it was trained on {rows.low:,} to {rows.high:,} rows"
    text += f"{_named_sizes(rows, facts)}."
    if facts.task.imdb and rows.high < IMDB_SPLIT:
        text += (
            f" IMDb's train split has {IMDB_SPLIT:,}, so {IMDB_SPLIT - rows.high:,} to "
            f"{IMDB_SPLIT - rows.low:,} of its rows were left out, perhaps held out for validation."
        )
    line = next((row.line for row in facts.training_rows), 1)
    yield Finding("training-rows", "note", text, rows.arithmetic, line)


def _named_sizes(rows: RowRange, facts: CardFacts) -> str:
    """The usual sizes in a range, in words."""
    if facts.task.imdb:
        named = [f"{size:,} ({what})" for size, what in _IMDB_SIZES.items() if _within(size, rows)]
        if named:
            return ", such as " + " or ".join(named)
    for unit in (10_000, 1_000, 500, 100):
        multiple = rows.high // unit * unit
        if multiple >= max(rows.low, 1):
            return f", such as {multiple:,}"
    return ""


def _within(size: int, rows: RowRange) -> bool:
    return rows.low <= size <= rows.high


def check_epochs_fit_steps(facts: CardFacts) -> Iterator[Finding | Checked]:
    """Whether one number of steps per epoch explains all rows of the table."""
    recipe, steps = facts.hyperparameters, steps_per_epoch(facts)
    # With accumulation older Trainers counted epochs unevenly: there the two need not fit.
    points = {(row.epoch.text, row.step) for row in facts.training_rows if row.epoch and row.step}
    if (
        len(points) < 2
        or not _steps_grow(facts.training_rows)
        or steps is None
        or (recipe.accumulation or 1) > 1
    ):
        return
    slack = 0.002 * steps.high  # a stop of the last epoch in the middle shifts the digits
    fits = steps.low <= steps.high + slack
    if not fits and (not recipe.listed_epochs or recipe.max_steps):
        return
    yield Checked("steps against epochs")
    if fits:
        return
    yield Finding(
        "epochs-do-not-fit-steps",
        "warning",
        "The steps and epochs of its table are not of one run: steps per epoch change. They hold "
        "if training was resumed with another batch.",
        steps.arithmetic,
        facts.training_rows[0].line,
    )


def check_schedule(facts: CardFacts) -> Iterator[Finding]:
    """The last epoch of the table and of the Trainer's list."""
    planned = facts.hyperparameters.listed_epochs
    epochs = [row.epoch.figure.value for row in facts.training_rows if row.epoch]
    if not planned or not epochs or not _counts_from_one(facts.training_rows):
        return
    if not _steps_grow(facts.training_rows):
        return  # a run for each row: the list is of one of them
    last, before = epochs[-1], epochs[-2] if len(epochs) > 1 else 0.0
    line = facts.training_rows[-1].line
    if last > planned + 0.5:
        yield Finding(
            "schedule-overrun",
            "warning",
            "Its table goes on after the last epoch of its hyperparameters. Both hold if training "
            "was resumed with more epochs.",
            f"last row: epoch {last:g}; num_epochs: {planned:g}",
            line,
        )
    elif planned - last >= max(last - before, 0.1) - 0.02:
        yield Finding(
            "schedule-cut-short",
            "note",
            f"Its table ends at epoch {last:g} of {planned:g}: training was stopped early, or rows "
            "are missing.",
            f"rows are {last - before:g} epochs apart, and {planned:g} - {last:g} = "
            f"{planned - last:g} epochs are missing",
            line,
        )


def _counts_from_one(rows: tuple[TrainingRow, ...]) -> bool:
    """Whether an epoch counts as 1 at its end (the Trainer) and not as 0 (Keras)."""
    return bool(rows) and rows[0].epoch is not None and rows[0].epoch.figure.value > 0


def _steps_grow(rows: tuple[TrainingRow, ...]) -> bool:
    """Whether the steps were counted through, and not anew in each epoch."""
    steps = [row.step for row in rows if row.step is not None]
    return all(before < after for before, after in pairwise(steps))


def check_total_batch(facts: CardFacts) -> Iterator[Finding | Checked]:
    """Whether the stated total batch is a product of its parts.

    Devices that are not stated, such as the replicas of a TPU or an IPU, multiply it once more.
    """
    recipe = facts.hyperparameters
    if not (recipe.total_batch and recipe.batch and facts.generated and recipe.plain_batches):
        return
    product = recipe.batch * (recipe.accumulation or 1) * (recipe.devices or 1)
    if product == 1:
        return  # every total is a multiple of it
    yield Checked("the total batch against its parts")
    if recipe.total_batch == product or recipe.total_batch % product == 0:
        return
    multiple = recipe.total_batch % recipe.batch == 0
    yield Finding(
        "total-batch",
        "warning" if multiple else "error",
        f"Its total batch of {recipe.total_batch:,} is not the product of its parts"
        + (
            ". It holds if one of the parts is of another setting."
            if multiple
            else f", nor any multiple of its batch of {recipe.batch:,}, on however many devices."
        ),
        f"{recipe.batch:,} rows x {recipe.devices or 1} devices x {recipe.accumulation or 1} "
        f"accumulated = {product:,}",
        recipe.line,
    )
