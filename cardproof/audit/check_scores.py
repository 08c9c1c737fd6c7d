"""Scores against counts: how many rows were scored, and which confusion matrices fit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cardproof.audit.check_steps import RowRange, training_row_range
from cardproof.audit.confusion import (
    Average,
    Metric,
    Mixed,
    Region,
    feasible_matrices,
    matrices_of_mixed_averages,
)
from cardproof.audit.facts import CardFacts, Checked, Claim, Finding, Printed
from cardproof.audit.numbers import exactly
from cardproof.claims.published import IMDB_SPLIT
from cardproof.text import capitalised, listed

_USUAL_SIZES = (
    100, 200, 250, 300, 500, 600, 750, 900, 1_000, 1_250, 1_500, 2_000, 2_500, 3_000, 3_750,
    4_000, 5_000, 6_250, 7_500, 8_000, 10_000, 12_500, 15_000, 20_000, 25_000,
)  # fmt: skip
_SCORES: tuple[Metric, ...] = ("accuracy", "precision", "recall", "f1")
_TRAINER_SOURCES = ("metadata", "results list")
_MOST_SOLVED = 1_000_000  # rows: beyond, a search costs seconds


@dataclass(frozen=True)
class ScoredRows:
    """The rows that the headline was scored on.

    Attributes:
        rows: how many.
        classes: rows of class 1 and of class 0; None if unknown.
        reason: what says so.
    """

    rows: int
    classes: tuple[int, int] | None
    reason: str


def scored_rows(facts: CardFacts) -> ScoredRows | None:
    """The rows that the headline was scored on, stated or inferred; None if nothing tells."""
    if facts.test_rows:
        stated = facts.test_rows
        return ScoredRows(stated.rows, stated.classes, stated.quote)
    if not facts.task.imdb:
        return None
    trained = training_row_range(facts)
    if trained and trained.low > IMDB_SPLIT:
        return None  # some of the test split was trained on, or other reviews
    if _of_test(facts):
        return _whole_test_split(facts, "it speaks of a test split, and IMDb's has 12,500 + 12,500")
    if trained and trained.low <= IMDB_SPLIT <= trained.high:
        reason = (
            "it was trained on all of IMDb's train split, so only the test split of 12,500 + "
            "12,500 is left to score"
        )
        return _whole_test_split(facts, reason)
    return _rest_of_train(facts, trained) if trained else None


def _of_test(facts: CardFacts) -> bool:
    """Whether the headline says that it is of test rows.

    In the text a test split may be mentioned apart from it, but not beside the "evaluation set" of
    the Trainer.
    """
    claims = [claim for metric in _SCORES if (claim := facts.headline(metric))]
    return bool(claims) and all(
        claim.split == "test"
        or (not claim.split and facts.mentions_test and claim.source not in _TRAINER_SOURCES)
        for claim in claims
    )


def _whole_test_split(facts: CardFacts, reason: str) -> ScoredRows | None:
    """The whole test split; None where exact figures show that it was only a part of it."""
    classes = (IMDB_SPLIT // 2, IMDB_SPLIT // 2)
    scores = _exact_scores(facts)
    accuracy = scores.get("accuracy")
    if accuracy and not accuracy.figure.whole_counts(IMDB_SPLIT):
        return None
    if accuracy and accuracy.figure.half_unit == 0 and accuracy.figure.whole_counts(1_000):
        return None  # 0.86 with all its digits is more likely of some hundreds of rows
    if facts.generated and not _any_region(scores, classes):
        return None
    return ScoredRows(IMDB_SPLIT, classes, reason)


def _rest_of_train(facts: CardFacts, trained: RowRange) -> ScoredRows | None:
    """What training left of the train split, if one usual number there fits all accuracies."""
    rest = range(IMDB_SPLIT - trained.high, IMDB_SPLIT - trained.low + 1)
    figures = [printed.figure for printed in _accuracies(facts)]
    fitting = [
        size
        for size in _USUAL_SIZES
        if size in rest and figures and all(figure.whole_counts(size) for figure in figures)
    ]
    if len(fitting) != 1:
        return None
    reason = (
        f"IMDb's train split has {IMDB_SPLIT:,} rows, {rest.start:,} to {rest.stop - 1:,} of them "
        f"not trained on, and all its accuracies are whole counts on {fitting[0]:,}"
    )
    return ScoredRows(fitting[0], None, reason)


def _exact_scores(facts: CardFacts) -> dict[Metric, Printed]:
    """Headline scores with all the digits they have; accuracy first."""
    scores: dict[Metric, Printed] = {}
    for metric in _SCORES:
        claim = facts.headline(metric)
        if claim:
            trainers = facts.generated and claim.source in _TRAINER_SOURCES
            places = 17 if claim.source == "metadata" else 4
            scores[metric] = exactly(claim.printed, places) if trainers else claim.printed
    return scores


def _any_region(scores: Mapping[Metric, Printed], classes: tuple[int, int]) -> bool:
    figures = {metric: printed.figure for metric, printed in scores.items()}
    return any(feasible_matrices(figures, average, classes).count for average in _averages(classes))


def _averages(classes: tuple[int, int]) -> tuple[Average, ...]:
    """The averages that differ: with equal classes, weighted is macro."""
    return ("binary", "macro") if classes[0] == classes[1] else ("binary", "macro", "weighted")


def _accuracies(facts: CardFacts) -> list[Printed]:
    """The headline accuracy and those of the table, each wording once."""
    scores = _exact_scores(facts)
    found = [scores["accuracy"]] if "accuracy" in scores else []
    for row in facts.training_rows:
        if "accuracy" in row.scores:
            printed = row.scores["accuracy"]
            found.append(exactly(printed) if facts.generated else printed)
    return list({printed.text: printed for printed in found}.values())


def check_confusion(facts: CardFacts) -> Iterator[Finding | Checked]:
    """The confusion matrices behind the headline, or the contradiction that there is none."""
    if not (facts.task.binary and facts.task.classification):
        return
    claims = {metric: claim for metric in _SCORES if (claim := facts.headline(metric))}
    scored = scored_rows(facts)
    if len(claims) < 2:
        return
    if scored and scored.classes and scored.rows <= _MOST_SOLVED:
        yield Checked("the scores against all confusion matrices")
        yield from _solve(claims, scored)


def _solve(claims: Mapping[Metric, Claim], scored: ScoredRows) -> Iterator[Finding]:
    """Search all matrices of known classes, for each average that the figures may be."""
    classes = scored.classes or (0, 0)
    named = {claim.average for claim in claims.values()} - {None}
    averages = tuple(one for one in _averages(classes) if not named or one in named)
    averages = averages if len(named) < 2 and averages else _averages(classes)
    figures = {metric: claim.printed.figure for metric, claim in claims.items()}
    what = listed(
        [f"{metric.replace('f1', 'F1')} {c.printed.text}" for metric, c in claims.items()]
    )
    regions = {average: feasible_matrices(figures, average, classes) for average in averages}
    fitting = {average: region for average, region in regions.items() if region.count}
    mixed = matrices_of_mixed_averages(figures, classes)
    line = next(iter(claims.values())).line
    if mixed is not None and not mixed.count:
        yield _impossible(what, scored, line)
    elif averages[0] in fitting:
        yield _fits(what, averages[0], fitting[averages[0]], scored, line)
    else:
        yield _only_averages(what, averages, fitting, mixed, scored, line)


_MEANING = {
    "binary": "scores of one class",
    "macro": "macro averages",
    "weighted": "weighted averages",
}


def _impossible(what: str, scored: ScoredRows, line: int) -> Finding:
    """No matrix gives the scores of these rows."""
    positives, negatives = scored.classes or (0, 0)
    return Finding(
        "no-confusion-matrix-fits",
        "warning",
        f"{capitalised(what)} cannot all hold, however each is averaged: no confusion matrix of "
        f"{positives:,} positive and {negatives:,} negative rows gives them. They hold if other "
        "rows were scored, or if they are approximate.",
        f"all {positives + 1:,} x {negatives + 1:,} matrices were searched; rows: {scored.reason}",
        line,
    )


def _only_averages(
    what: str,
    averages: tuple[Average, ...],
    fitting: Mapping[Average, Region],
    mixed: Mixed | None,
    scored: ScoredRows,
    line: int,
) -> Finding:
    """Impossible as what it seems to be: what is possible instead, and for which accuracies."""
    positives, negatives = scored.classes or (0, 0)
    first, *others = [_MEANING[average] for average in averages]
    text = f"{capitalised(what)} cannot be {first}: no confusion matrix of "
    text += f"{positives:,} + {negatives:,} rows gives them. "
    counts = [f"{first}: none"]
    for average, region in fitting.items():
        low, high = region.accuracy_range
        same = ", or weighted, which are the same here," if positives == negatives else ""
        text += f"As {_MEANING[average]}{same} they hold only if accuracy lies in {low:.4f} to "
        text += f"{high:.4f}. "
        counts.append(f"{_MEANING[average]}: {region.count:,}")
    if others and not fitting:
        text += f"Nor can they be {listed(others, 'or')}. "
    if mixed:
        low, high = mixed.accuracy_range
        text += (
            f"If each may be averaged in its own way, accuracy lies in {low:.4f} to {high:.4f}. "
        )
        counts.append(f"each in its own way: {mixed.count:,}")
    text += "Or other rows were scored."
    searched = f"of {positives + 1:,} x {negatives + 1:,} matrices fit"
    return Finding(
        "no-confusion-matrix-fits",
        "warning",
        text,
        f"{searched}: {'; '.join(counts)}; rows: {scored.reason}",
        line,
    )


def _fits(what: str, average: Average, region: Region, scored: ScoredRows, line: int) -> Finding:
    """The matrices of one average."""
    misses, alarms = region.false_negative_range, region.false_positive_range
    positives, negatives = region.classes
    hits = (positives - misses[1], positives - misses[0])
    rejections = (negatives - alarms[1], negatives - alarms[0])
    matrices = "1 matrix fits" if region.count == 1 else f"{region.count:,} matrices fit"
    text = "fix the confusion matrix." if region.count == 1 else "leave these confusion matrices."
    return Finding(
        "confusion-matrix",
        "note",
        f"As {_MEANING[average]}, {what} {text}",
        f"{matrices}: true positives {_range(hits)}, false negatives {_range(misses)}, "
        f"false positives {_range(alarms)}, true negatives {_range(rejections)}; "
        f"rows: {scored.reason}",
        line,
    )


def _range(ends: tuple[int, int]) -> str:
    return f"{ends[0]:,}" if ends[0] == ends[1] else f"{ends[0]:,} to {ends[1]:,}"
