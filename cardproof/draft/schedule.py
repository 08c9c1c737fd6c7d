"""What follows from a card's own steps, epochs and losses."""

import math

from cardproof.audit.check_steps import RowRange, StepsPerEpoch, steps_per_epoch, training_row_range
from cardproof.audit.facts import CardFacts, TrainingRow
from cardproof.claims.published import IMDB_SPLIT
from cardproof.draft.document import Document
from cardproof.draft.parts import Part, Reasoned

_DEFAULT_LOGGING = 500  # steps, the Trainer's
_LARGEST_SHARE = 50  # percent: nobody holds out more than they train on


def read_schedule(document: Document, stated: Part) -> Part:
    """What the card's figures give away about its rows, its best epoch and its log.

    Args:
        document: the card.
        stated: what was read of it already.
    """
    facts = document.facts
    rows, steps = training_row_range(facts), steps_per_epoch(facts)
    split = Part()
    if rows and steps and stated.value("split.validation") is None:
        split = _split(facts, rows, steps, stated)
    best, logging = _load_best(facts), _logging_steps(facts)
    warmup = _warmup(document.hyperparameters, steps, stated)
    return Part(
        {},
        {**split.inferred, **best.inferred, **warmup.inferred},
        {**split.assumed, **logging},
        (*split.unplaced, *best.unplaced, *warmup.unplaced),
    )


def _split(facts: CardFacts, rows: RowRange, steps: StepsPerEpoch, stated: Part) -> Part:
    """Which rows were trained on, by their number, and so which were left to validate on."""
    batch = facts.hyperparameters.rows_per_step or 1
    product = f"{math.floor(steps.high + 1e-6):,} steps an epoch x {batch} rows"
    validated = any(row.loss for row in facts.training_rows)
    if not facts.task.imdb:  # of other data the number of rows is not known
        return _other_rows(rows, product, validated=validated, all_rows=None)
    scored = stated.value("split.scored") is None and validated
    if rows.low <= IMDB_SPLIT <= rows.high:
        if not validated:
            return Part()
        why = f"{product} are all {IMDB_SPLIT:,} of train, so the table is of test"
        of_test = {"split.validation": Reasoned("test", why)}
        if scored:
            of_test["split.scored"] = Reasoned("test", "its evaluation set is the test rows")
        return Part({}, of_test)
    share = _share_held_out(rows)
    if share is None:
        return _other_rows(rows, product, validated=validated, all_rows=IMDB_SPLIT)
    kept = round(IMDB_SPLIT * (1 - share))
    of_train = {
        "split.validation": Reasoned("holdout", f"{product} leave {IMDB_SPLIT - kept:,} of train"),
        "split.test_size": Reasoned(share, f"{product} are {kept:,} of the {IMDB_SPLIT:,}"),
    }
    if scored:
        why = "its evaluation set is its validation rows"
        of_train["split.scored"] = Reasoned("validation", why)
    seed, assumed = stated.value("train.seed"), {}
    if seed is not None and stated.value("split.seed") is None:
        reason = f"no seed of the split is mentioned; {seed} is the seed of training"
        assumed = {"split.seed": Reasoned(seed, reason)}
    return Part({}, of_train, assumed)


def _share_held_out(rows: RowRange) -> float | None:
    """The share of train, in whole percent, that leaves so many rows to train on."""
    shares = [
        percent
        for percent in range(1, _LARGEST_SHARE + 1)
        if rows.low <= IMDB_SPLIT * (100 - percent) // 100 <= rows.high
    ]
    return shares[0] / 100 if len(shares) == 1 else None


def _other_rows(rows: RowRange, product: str, *, validated: bool, all_rows: int | None) -> Part:
    """A number of rows that no share of the training split explains."""
    told = f"it was trained on {rows.low:,} to {rows.high:,} rows ({product})"
    if all_rows is None:
        told += ": state the split that leaves so many"
    elif rows.low > all_rows:
        told += ": more than train has, and no key adds rows of test"
    else:
        usual = next((u for u in (1000, 500, 100) if rows.high // u * u >= rows.low), 1)
        limit = rows.high // usual * usual
        told += f", and no key limits a card's rows: run it with -S data.limit={limit}"
    if not validated:
        return Part(unplaced=(told,))
    reason = "its table has losses of rows that it does not name; the test rows"
    return Part({}, {}, {"split.validation": Reasoned("test", reason)}, (told,))


def _load_best(facts: CardFacts) -> Part:
    """Which epoch's weights the headline is of: the last, or the one with the lowest loss."""
    headline, rows = facts.headline("loss"), [row for row in facts.training_rows if row.loss]
    if headline is None or len(rows) < 2:
        return Part()
    losses = [row.loss.figure.value for row in rows if row.loss]
    ours = [i for i, loss in enumerate(losses) if loss == headline.printed.figure.value]
    lowest, last = losses.index(min(losses)), len(losses) - 1
    if len(ours) != 1 or lowest == last:
        return Part()
    name = _row_name(rows[ours[0]])
    if ours[0] == last:
        why = Reasoned(False, f"the headline is the row of {name}, the last")
    elif ours[0] == lowest:
        why = Reasoned(True, f"the headline is the row of {name}, the lowest loss")
    else:
        told = (
            f"its headline is the row of {name}, neither the last nor the lowest loss: "
            "train.load_best knows no other way to choose"
        )
        return Part(unplaced=(told,))
    return Part({}, {"train.load_best": why})


def _row_name(row: TrainingRow) -> str:
    return f"epoch {row.epoch.figure.value:g}" if row.epoch else f"step {row.step}"


def _logging_steps(facts: CardFacts) -> dict[str, Reasoned]:
    """The log interval, where a training loss stands before the default's first log."""
    steps = [row.step for row in facts.training_rows if row.step]
    first = facts.training_rows[0] if facts.training_rows else None
    if not first or not first.step or first.step >= _DEFAULT_LOGGING or not first.training_loss:
        return {}
    reason = (
        f"a training loss is printed at step {min(steps):,}, before the default's first at "
        f"{_DEFAULT_LOGGING}"
    )
    return {"train.logging_steps": Reasoned(first.step, reason)}


def _warmup(items: dict[str, str], steps: StepsPerEpoch | None, stated: Part) -> Part:
    """A warm-up that is stated as a share of all steps (transformers rounds up)."""
    ratio, epochs = items.get("lr_scheduler_warmup_ratio"), stated.value("train.epochs")
    try:
        share = float(ratio or 0)
    except ValueError:
        share = -1.0
    if not share or stated.value("train.warmup_steps") is not None:
        return Part()
    total = steps.low * epochs if steps and epochs and steps.low == steps.high else None
    if not total or not 0 < share < 1:
        return Part(
            unplaced=(f"lr_scheduler_warmup_ratio: {share:g}: state it as train.warmup_steps",)
        )
    value = math.ceil(total * share)
    reason = f"{share:g} of {total:,.0f} steps"
    return Part({}, {"train.warmup_steps": Reasoned(value, reason)})
