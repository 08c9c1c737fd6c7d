"""What follows from a card's own steps, epochs and losses."""

import math
from collections.abc import Iterator

from cardproof.audit.check_steps import RowRange, steps_per_epoch, training_row_range
from cardproof.audit.facts import CardFacts
from cardproof.claims.published import IMDB_SPLIT
from cardproof.draft.document import Document, Reading, Value, limited, number, shown

_DEFAULT_LOGGING = 500  # steps, the Trainer's


def read_schedule(document: Document, stated: Reading) -> Iterator[Value | str]:
    """What the figures of a card give away about its rows, its best epoch and its log."""
    facts = document.facts
    if stated.get("split.validation") is None:
        yield from _validation_rows(facts, stated)
    yield from _best_epoch(facts)
    yield from _warmup(document, stated.get("train.epochs"))
    first = next(iter(facts.training_rows), None)
    if first and first.step and first.step < _DEFAULT_LOGGING and first.training_loss:
        why = f"a training loss is printed at step {first.step}, before the default's first log"
        yield Value("train.logging_steps", first.step, why, assumed=True)


def _validation_rows(facts: CardFacts, stated: Reading) -> Iterator[Value | str]:
    """Which rows were trained on, by their number, and so which were left to validate on."""
    rows, steps = training_row_range(facts), steps_per_epoch(facts)
    if rows is None or steps is None:
        return
    batch = facts.hyperparameters.rows_per_step
    product = f"{math.floor(steps.high + 1e-6):,} steps an epoch x {batch} rows"
    validated = any(row.loss for row in facts.training_rows)
    share = _share_held_out(rows) if facts.task.imdb else None
    if share is not None:
        kept = round(IMDB_SPLIT * (1 - share))
        left = f"{product} leave {IMDB_SPLIT - kept:,} of train"
        yield Value("split.validation", "holdout", left)
        yield Value("split.test_size", share, f"{product} are {kept:,} of the {IMDB_SPLIT:,}")
        seed = stated.get("train.seed")
        why = f"no seed of the split is mentioned; {seed} is the seed of training"
        yield Value("split.seed", seed, why, assumed=True)
        if validated:
            yield Value("split.scored", "validation", "its evaluation set is its validation rows")
    elif not (facts.task.imdb and rows.low <= IMDB_SPLIT <= rows.high):
        yield from _number_of_rows(rows, product, imdb=facts.task.imdb)
        if validated:
            why = "its table has losses of rows that it does not name; the test rows"
            yield Value("split.validation", "test", why, assumed=True)
    elif validated:
        why = f"{product} are all {IMDB_SPLIT:,} of train, so the table is of test"
        yield Value("split.validation", "test", why)
        yield Value("split.scored", "test", "its evaluation set is the test rows")


def _share_held_out(rows: RowRange) -> float | None:
    """The one share of train, in whole percent to a half, that leaves so many rows."""
    kept = {share: IMDB_SPLIT * (100 - share) // 100 for share in range(51)}
    shares = [share for share, number in kept.items() if rows.low <= number <= rows.high]
    return shares[0] / 100 if len(shares) == 1 and shares != [0] else None


def _number_of_rows(rows: RowRange, product: str, *, imdb: bool) -> Iterator[Value | str]:
    """A limit, or a note, for a number of rows that no share of the training split explains."""
    told = f"it was trained on {rows.low:,} to {rows.high:,} rows ({product})"
    if imdb and rows.low > IMDB_SPLIT:
        yield (
            f"{told}: more than train has, and no key adds rows of test, so that its verdicts are "
            "not of the card's recipe"
        )
        return
    usual = next((u for u in (1000, 500, 100) if rows.high // u * u >= rows.low), 1)
    yield from limited(rows.high // usual * usual, told)


def _best_epoch(facts: CardFacts) -> Iterator[Value]:
    """Which row's weights the headline is of, if it is either the last or that of lowest loss."""
    headline = facts.headline("loss")
    rows = [(row.loss.figure.value, row) for row in facts.training_rows if row.loss]
    ours = [row for loss, row in rows if headline and loss == headline.printed.figure.value]
    if len(ours) != 1:
        return
    lowest, last = min(rows, key=lambda pair: pair[0])[1], rows[-1][1]
    if lowest is not last and ours[0] in (lowest, last):
        epoch, step, best = ours[0].epoch, ours[0].step, ours[0] is lowest
        name = f"epoch {epoch.figure.value:g}" if epoch else f"step {step}"
        why = f"the headline is the row of {name}, {'the lowest loss' if best else 'the last'}"
        yield Value("train.load_best", best, why)


def _warmup(document: Document, epochs: float | None) -> Iterator[Value | str]:
    """A warm-up that is stated as a share of all steps (transformers rounds up)."""
    ratio = document.hyperparameters.get("lr_scheduler_warmup_ratio", "")
    share, steps = number(ratio), steps_per_epoch(document.facts)
    if share and epochs and steps and steps.low == steps.high:
        total = steps.low * epochs
        reason = f"{share:g} of {total:,.0f} steps"
        yield Value("train.warmup_steps", math.ceil(total * share), reason)
    elif ratio:
        yield f"lr_scheduler_warmup_ratio: {shown(ratio)}: state it as train.warmup_steps"
