"""Figures against what is published for IMDb. Made for cards of that task only."""

import math
from collections.abc import Iterator

from cardproof.audit.check_scores import scored_rows
from cardproof.audit.check_steps import training_row_range
from cardproof.audit.facts import CardFacts, Finding, Printed
from cardproof.claims.published import (
    DISTILBERT_PAPER,
    IMDB_SPLIT,
    XLNET_LARGE,
    ReferenceDistribution,
    accuracies,
    first_epoch_training_losses,
)

_FAR = 3  # standard deviations


def check_basis(facts: CardFacts) -> Iterator[Finding]:
    """Say why figures are compared with published ones."""
    if facts.task.imdb and facts.claims:
        yield Finding(
            "comparison",
            "note",
            "Its figures are compared with those published for IMDb sentiment.",
            facts.task.reason,
            facts.claims[0].line,
        )


def check_accuracy(facts: CardFacts) -> Iterator[Finding]:
    """Accuracy against published runs on as many reviews, and against far larger models."""
    claim = facts.headline("accuracy")
    if not facts.task.imdb or claim is None:
        return
    rows = _trained_on(facts)
    published = accuracies(min(rows or IMDB_SPLIT, IMDB_SPLIT))
    if published is None:
        return
    accuracy = claim.printed
    distance = (accuracy.figure.value - published.mean) / published.deviation
    # Of what the printed digits leave open, the end nearest to the runs counts.
    ends = (accuracy.figure.low, accuracy.figure.high)
    nearest = min(abs(end - published.mean) / published.deviation for end in ends)
    nearest = 0.0 if accuracy.figure.covers(published.mean) else nearest
    arithmetic = _accuracy_arithmetic(facts, accuracy, published, distance, nearest)
    if accuracy.figure.low > XLNET_LARGE:
        yield Finding(
            "too-good",
            "warning",
            f"Accuracy {accuracy.text} is above what far larger models reach on IMDb "
            f"(XLNet-large: {XLNET_LARGE}). Perhaps it was scored on rows that it, or the model it "
            "started from, was trained on. That is a suspicion to test, not a fact.",
            arithmetic,
            claim.line,
        )
        return
    far = distance > 0 and nearest > _FAR and "distilbert" in (facts.base or "").lower()
    where = "above" if distance > 0 else "below"
    text = f"Accuracy {accuracy.text} is at least {nearest:.1f} standard deviations {where} "
    text += "the mean of published runs on "
    text += "about as many reviews." if rows else "the whole train split; its own rows are unknown."
    yield Finding(
        "unusually-good" if far else "accuracy-in-context",
        "warning" if far else "note",
        text,
        arithmetic,
        claim.line,
    )


def _trained_on(facts: CardFacts) -> int | None:
    """Training rows, from the steps or as stated; None if neither gives them."""
    trained = training_row_range(facts)
    if trained:
        return trained.high
    return max(1, round(facts.train_row_count.figure.value)) if facts.train_row_count else None


def _accuracy_arithmetic(
    facts: CardFacts,
    accuracy: Printed,
    published: ReferenceDistribution,
    distance: float,
    nearest: float,
) -> str:
    """The distance in standard deviations of runs, and in standard errors of one score."""
    value, scored = accuracy.figure.value, scored_rows(facts)
    rows = scored.rows if scored else IMDB_SPLIT
    # Of a run as the published ones: sqrt(p (1 - p) / n), of a share of n independent rows.
    error = math.sqrt(published.mean * (1 - published.mean) / rows)
    off = f"{nearest:.1f}" != f"{abs(distance):.1f}"
    rounded = f", {nearest:.1f} from the nearest that prints as {accuracy.text}" if off else ""
    taken = "" if scored else ", taken as the number scored,"
    return (
        f"{published}; ({value:.4f} - {published.mean:.4f}) / {published.deviation:.4f} = "
        f"{distance:+.1f} sd{rounded}; one standard error on {rows:,} rows{taken} is "
        f"{error:.4f}, so {(value - published.mean) / error:+.1f} of them; DistilBERT's paper: "
        f"{DISTILBERT_PAPER}"
    )


def check_first_epoch(facts: CardFacts) -> Iterator[Finding]:
    """The first epoch's training loss against published ones."""
    rows = facts.training_rows
    if not facts.task.imdb or not rows or not rows[0].epoch or not rows[0].training_loss:
        return
    if not 0.9 <= rows[0].epoch.figure.value <= 1.1:
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
        "first-epoch-too-easy" if low else "first-epoch-in-context",
        "warning" if low else "note",
        text,
        f"{published}; {loss.figure.value:.4f} / {published.mean:.4f} = {ratio:.2f}; each is the "
        "mean of the last log window of the epoch",
        rows[0].line,
    )
