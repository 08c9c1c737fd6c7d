"""Figures against what is published for IMDb. Made for cards of that task only."""

import math
from collections.abc import Iterator

from cardproof.audit.check_scores import scored_rows
from cardproof.audit.check_steps import training_row_range
from cardproof.audit.facts import CardFacts, Claim, Finding
from cardproof.claims.published import (
    DISTILBERT_PAPER,
    IMDB_SPLIT,
    XLNET_LARGE,
    accuracies,
    first_epoch_training_losses,
)

_FAR = 3  # standard errors


def check_accuracy(facts: CardFacts) -> Iterator[Finding]:
    """Accuracy against published runs on as many reviews, and against far larger models."""
    claim = facts.headline("accuracy")
    if not facts.task.imdb or claim is None:
        return
    accuracy, scored = claim.printed, scored_rows(facts)
    rows = scored.rows if scored else 1
    # Of a score of a model as good as the larger ones: sqrt(p (1 - p) / n), of n independent rows.
    error = math.sqrt(XLNET_LARGE * (1 - XLNET_LARGE) / rows)
    if accuracy.figure.low > XLNET_LARGE + _FAR * error:
        yield Finding(
            "above-published-best",
            "warning",
            f"Accuracy {accuracy.text} is above what far larger models reach on IMDb "
            f"(XLNet-large: {XLNET_LARGE}). Perhaps it was scored on few rows, or on rows that it, "
            "or the model it started from, was trained on. That is a suspicion to test, not a "
            "fact.",
            f"({accuracy.figure.value:.4f} - {XLNET_LARGE}) / {error:.4f} = "
            f"{(accuracy.figure.value - XLNET_LARGE) / error:+.1f} standard errors on {rows:,} "
            f"rows ({scored.reason if scored else ''})",
            claim.line,
        )
    else:
        yield from _in_context(facts, claim)


def _in_context(facts: CardFacts, claim: Claim) -> Iterator[Finding]:
    """The distance from published runs on about as many reviews, where their number is known."""
    rows, accuracy = _trained_on(facts), claim.printed
    published = accuracies(rows) if rows else None
    if published is None:
        return
    distance = (accuracy.figure.value - published.mean) / published.deviation
    # Of what the printed digits leave open, the end nearest to the runs counts.
    ends = (accuracy.figure.low, accuracy.figure.high)
    nearest = min(abs(end - published.mean) / published.deviation for end in ends)
    nearest = 0.0 if accuracy.figure.covers(published.mean) else nearest
    where = "above" if distance > 0 else "below"
    yield Finding(
        "accuracy-in-context",
        "note",
        f"Accuracy {accuracy.text} is at least {nearest:.1f} standard deviations {where} the mean "
        "of published runs on about as many reviews.",
        f"{published}; ({accuracy.figure.value:.4f} - {published.mean:.4f}) / "
        f"{published.deviation:.4f} = {distance:+.1f} sd; DistilBERT's paper: {DISTILBERT_PAPER}",
        claim.line,
    )


def _trained_on(facts: CardFacts) -> int | None:
    """Training rows, from the steps or as stated; None if unknown, or more than IMDb's split."""
    trained, stated = training_row_range(facts), facts.train_rows
    if trained:
        return min(trained.high, IMDB_SPLIT) if trained.low <= IMDB_SPLIT else None
    rows = round(stated.figure.value) if stated else 0
    return rows if 0 < rows <= IMDB_SPLIT else None


def check_first_epoch(facts: CardFacts) -> Iterator[Finding]:
    """The first epoch's training loss of a DistilBERT against published ones."""
    rows = facts.training_rows
    if not facts.task.imdb or not facts.headline("accuracy") or not _trained_on(facts):
        return
    if not rows or not rows[0].epoch or not rows[0].training_loss:
        return
    if (
        not 0.9 <= rows[0].epoch.figure.value <= 1.1
        or "distilbert" not in (facts.base or "").lower()
    ):
        return
    loss, published = rows[0].training_loss, first_epoch_training_losses()
    ratio = loss.figure.value / published.mean
    low = loss.figure.high < min(published.values)
    text = (
        f"Its training loss at the end of the first epoch, {loss.text}, is "
        f"{ratio:.0%} of the mean of published runs"
    )
    text += (
        ", and below all of them. Perhaps the model it started from had seen these reviews. That "
        "is a suspicion to test, not a fact."
        if low
        else "."
    )
    yield Finding(
        "first-epoch-loss-low" if low else "first-epoch-in-context",
        "warning" if low else "note",
        text,
        f"{published}; {loss.figure.value:.4f} / {published.mean:.4f} = {ratio:.2f}; each is the "
        "mean of the last log window of the epoch",
        rows[0].line,
    )
