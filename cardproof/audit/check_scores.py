"""Scores against counts: how many rows were scored, and which confusion matrices fit."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cardproof.audit.check_steps import RowRange, training_row_range
from cardproof.audit.confusion import (
    Average,
    Metric,
    Region,
    feasible_matrices,
    harmonic_mean_range,
    share_that_fits,
    sizes_that_fit,
    totals,
)
from cardproof.audit.facts import CardFacts, Finding, Printed
from cardproof.audit.numbers import exactly
from cardproof.claims.published import IMDB_SPLIT
from cardproof.recipe.reported import PrintedFigure

_LARGEST_SET = 25_000
_PLAUSIBLE = (
    100, 200, 250, 300, 500, 600, 750, 900, 1_000, 1_250, 1_500, 2_000, 2_500, 3_000, 3_750,
    4_000, 5_000, 6_250, 7_500, 8_000, 10_000, 12_500, 15_000, 20_000, 25_000,
)  # fmt: skip
_SCORES: tuple[Metric, ...] = ("accuracy", "precision", "recall", "f1")
_TRAINER_SOURCES = ("metadata", "results list")
_LIKELY = 0.5  # a size that chance fits more often than this says nothing
_ALL_DIGITS = 12  # characters of a float that nobody rounded
_MOST_SOLVED = 1_000_000  # rows: beyond, a search costs seconds


@dataclass(frozen=True)
class ScoredRows:
    """The rows that the headline was scored on.

    Attributes:
        rows: how many.
        classes: rows of class 1 and of class 0; None if unknown.
        reason: what says so.
        stated: the card states it; else it is inferred.
    """

    rows: int
    classes: tuple[int, int] | None
    reason: str
    stated: bool


def scored_rows(facts: CardFacts) -> ScoredRows | None:
    """The rows that the headline was scored on, stated or inferred; None if nothing tells."""
    if facts.test_rows:
        stated = facts.test_rows
        return ScoredRows(stated.rows, stated.classes, stated.quote, stated=True)
    if not facts.task.imdb:
        return None
    trained = training_row_range(facts)
    named_test = any(split.text.lower() == "test" for split in facts.splits)
    if facts.mentions_test or named_test or any(claim.split == "test" for claim in facts.claims):
        return _whole_test_split(facts, "it speaks of a test split, and IMDb's has 12,500 + 12,500")
    if trained and trained.low <= IMDB_SPLIT <= trained.high:
        reason = (
            "it was trained on all of IMDb's train split, so only the test split of 12,500 + "
            "12,500 is left to score"
        )
        return _whole_test_split(facts, reason)
    return _rest_of_train(facts, trained) if trained else None


def _whole_test_split(facts: CardFacts, reason: str) -> ScoredRows | None:
    """The whole test split; None where exact figures show that it was only a part of it."""
    classes = (IMDB_SPLIT // 2, IMDB_SPLIT // 2)
    scores = _exact_scores(facts)
    accuracy = scores.get("accuracy")
    if accuracy and not accuracy.figure.whole_counts(IMDB_SPLIT):
        return None
    if facts.generated and (not _any_region(scores, classes) or _fits_few_rows(scores)):
        return None
    return ScoredRows(IMDB_SPLIT, classes, reason, stated=False)


def _fits_few_rows(scores: Mapping[Metric, Printed]) -> bool:
    """Whether accuracy and F1 with all their digits are fractions of a few hundred rows.

    Scores of 25,000 rows hardly ever reduce to such fractions.
    """
    if not {"accuracy", "f1"} <= set(scores) or len(scores["f1"].text) < _ALL_DIGITS:
        return False
    accuracy, f1 = scores["accuracy"].figure, scores["f1"].figure
    return any(totals(rows, accuracy, f1).count for rows in _PLAUSIBLE if rows <= 3_000)


def _rest_of_train(facts: CardFacts, trained: RowRange) -> ScoredRows | None:
    """What training left of the train split, if one usual number there fits all accuracies."""
    rest = range(IMDB_SPLIT - trained.high, IMDB_SPLIT - trained.low + 1)
    figures = [printed.figure for printed in _accuracies(facts)]
    fitting = [
        size
        for size in _PLAUSIBLE
        if size in rest and figures and all(figure.whole_counts(size) for figure in figures)
    ]
    if len(fitting) != 1:
        return None
    reason = (
        f"IMDb's train split has {IMDB_SPLIT:,} rows, {rest.start:,} to {rest.stop - 1:,} of them "
        f"not trained on, and all its accuracies are whole counts on {fitting[0]:,}"
    )
    return ScoredRows(fitting[0], None, reason, stated=False)


def check_scored_rows(facts: CardFacts) -> Iterator[Finding]:
    """Which rows were scored, where the card does not say so in numbers."""
    scored = scored_rows(facts)
    if scored and not scored.stated and facts.claims:
        yield Finding(
            "scored-on",
            "note",
            f"Its scores are taken to be of {scored.rows:,} rows; it does not say so in numbers.",
            scored.reason,
        )


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


def check_whole_counts(facts: CardFacts) -> Iterator[Finding]:
    """Which numbers of scored rows make every accuracy a whole number of rows."""
    accuracies = _accuracies(facts)
    if not accuracies or not facts.task.classification:
        return
    figures = [printed.figure for printed in accuracies]
    names = ", ".join(printed.text for printed in accuracies[:10])
    stated = scored_rows(facts)
    if stated and stated.rows <= _MOST_SOLVED:
        yield from _at_stated_size(stated, accuracies)
    sizes = sizes_that_fit(figures, _LARGEST_SET)
    if not len(sizes):
        yield Finding(
            "whole-counts",
            "warning",
            f"No number of rows up to {_LARGEST_SET:,} makes all its accuracies whole counts: they "
            "are not of one set of rows, or were rounded otherwise.",
            f"accuracies {names}",
        )
        return
    chances = {
        size: share_that_fits(_as_wide(figures), size) for size in _PLAUSIBLE if size in sizes
    }
    telling = [size for size, chance in chances.items() if chance <= _LIKELY]
    likely = [f"{size:,}" for size in chances if size not in telling]
    if telling:
        listed = _listed([f"{size:,}" for size in telling[:8]], "or")
        text = f"Its accuracies ({names}) are whole counts on {listed} rows"
        text += f"; from {likely[0]} rows on, most such figures are." if likely else "."
    else:
        text = f"Its accuracies ({names}) do not tell how many rows were scored."
    shown = max(telling, default=int(sizes[0]))
    products = ", ".join(_product(figure, shown) for figure in figures[:5])
    arithmetic = f"the fewest rows that fit are {sizes[0]:,}; on {shown:,}: {products}"
    if telling:
        arithmetic += f"; by chance as many figures all fit in {chances[shown]:.1%} of cases"
    yield Finding("whole-counts", "note", text, arithmetic)


def _as_wide(figures: list[PrintedFigure]) -> list[PrintedFigure]:
    """The figures as wide as the most precise rounded one: exact ones lost zeros, not digits."""
    least = min((figure.half_unit for figure in figures if figure.half_unit), default=0.00005)
    return [PrintedFigure(figure.value, figure.half_unit or least) for figure in figures]


def _product(figure: PrintedFigure, rows: int) -> str:
    counts = figure.whole_counts(rows)
    shown = f"{counts.start:,}" if len(counts) == 1 else f"{counts.start:,} to {counts.stop - 1:,}"
    return f"{figure.value:.6g} x {rows:,} = {figure.value * rows:,.6g} ({shown})"


def _at_stated_size(stated: ScoredRows, accuracies: list[Printed]) -> Iterator[Finding]:
    """Whether the accuracies are whole counts on the rows that the card speaks of."""
    for printed in accuracies:
        if not printed.figure.whole_counts(stated.rows):
            product = printed.figure.value * stated.rows
            yield Finding(
                "no-whole-count",
                "error" if stated.stated else "warning",
                f"Accuracy {printed.text} is no whole number of {stated.rows:,} rows "
                f"({stated.reason}).",
                f"{printed.figure.value:.6g} x {stated.rows:,} = {product:,.6g}; "
                f"{math.floor(product):,} rows are {math.floor(product) / stated.rows:.6g}, "
                f"{math.ceil(product):,} are {math.ceil(product) / stated.rows:.6g}",
            )


def check_confusion(facts: CardFacts) -> Iterator[Finding]:
    """The confusion matrices behind the headline, or the contradiction that there is none."""
    if not (facts.task.binary and facts.task.classification):
        return
    claims = {metric: facts.headline(metric) for metric in _SCORES}
    printed = {metric: claim.printed for metric, claim in claims.items() if claim}
    scored = scored_rows(facts)
    if len(printed) < 2:
        return
    if scored and scored.classes and scored.rows <= _MOST_SOLVED:
        named = {claim.average for claim in claims.values() if claim} - {None}
        yield from _solve(printed, scored, named)
    elif "accuracy" in printed and (f1 := claims["f1"]) and f1.average in (None, "binary"):
        yield from _solve_totals(facts, scored)


def _solve(
    printed: dict[Metric, Printed], scored: ScoredRows, named: set[str | None]
) -> Iterator[Finding]:
    """Search all matrices of known classes, for each average that the figures may be."""
    classes = scored.classes or (0, 0)
    figures = {metric: one.figure for metric, one in printed.items()}
    averages = tuple(one for one in _averages(classes) if not named or one in named)
    if len(named) > 1 or not averages:
        averages = _averages(classes)
    regions = {average: feasible_matrices(figures, average, classes) for average in averages}
    what = _listed([f"{metric.replace('f1', 'F1')} {one.text}" for metric, one in printed.items()])
    if not any(region.count for region in regions.values()):
        yield _impossible(what, scored, printed, averages)
        return
    first = regions[averages[0]]
    if averages[0] == "binary" and not first.count:
        yield _impossible(what, scored, printed, ("binary",), other_averages_fit=True)
    fitting = [average for average in averages if regions[average].count]
    for average in fitting[:1] if averages[0] == fitting[0] else fitting:
        yield _fits(what, average, regions[average], scored, figures)


_MEANING = {
    "binary": "scores of the positive class",
    "macro": "macro averages",
    "weighted": "weighted averages",
}


def _impossible(
    what: str,
    scored: ScoredRows,
    printed: dict[Metric, Printed],
    averages: tuple[Average, ...],
    *,
    other_averages_fit: bool = False,
) -> Finding:
    """A contradiction only where no average fits, of rows that the card itself states."""
    positives, negatives = scored.classes or (0, 0)
    meanings = _listed([_MEANING[average] for average in averages], "or")
    arithmetic = (
        f"all {positives + 1:,} x {negatives + 1:,} matrices were searched and none prints so; "
        f"rows: {scored.reason}"
    )
    if "precision" in printed and "recall" in printed and "binary" in averages:
        low, high = harmonic_mean_range(printed["precision"].figure, printed["recall"].figure)
        arithmetic += f"; F1 of one class is 2 P R / (P + R), here {low:.4f} to {high:.4f}"
    approximate = any(one.text.startswith(("~", "≈")) for one in printed.values())
    return Finding(
        "impossible-scores",
        "warning" if approximate or other_averages_fit or not scored.stated else "error",
        f"{_capital(what)} cannot all hold as {meanings}: no confusion matrix of {positives:,} "
        f"positive and {negatives:,} negative rows gives them.",
        arithmetic,
    )


def _fits(
    what: str,
    average: Average,
    region: Region,
    scored: ScoredRows,
    figures: Mapping[Metric, PrintedFigure],
) -> Finding:
    """The matrices of one average; a warning if they leave little of the printed accuracy."""
    low, high = region.accuracy_range
    misses, alarms = region.false_negative_range, region.false_positive_range
    positives, negatives = region.classes
    hits = (positives - misses[1], positives - misses[0])
    rejections = (negatives - alarms[1], negatives - alarms[0])
    matrices = "1 matrix fits" if region.count == 1 else f"{region.count:,} matrices fit"
    arithmetic = (
        f"{matrices}: true positives {_range(hits)}, false negatives {_range(misses)}, "
        f"false positives {_range(alarms)}, true negatives {_range(rejections)}; "
        f"rows: {scored.reason}"
    )
    meaning = _MEANING[average]
    if average == "macro" and positives == negatives:
        meaning += " (weighted ones are the same, the classes being equal)"
    # Figures of two digits should leave much of each other open; more digits always leave little.
    accuracy = figures.get("accuracy")
    coarse = all(figure.half_unit > 0.0005 for figure in figures.values())
    if accuracy and coarse and high - low < 0.2 * (accuracy.high - accuracy.low):
        return Finding(
            "barely-possible-scores",
            "warning",
            f"As {meaning}, {what} hold only if accuracy lies in {low:.4f} to {high:.4f}.",
            arithmetic,
        )
    text = "fix the confusion matrix." if region.count == 1 else "leave these confusion matrices."
    text = f"As {meaning}, {what} {text}"
    return Finding("confusion-matrix", "note", text, arithmetic)


def _solve_totals(facts: CardFacts, scored: ScoredRows | None) -> Iterator[Finding]:
    """True positives and errors from accuracy and F1, on the smallest numbers of rows that fit."""
    exact = _exact_scores(facts)
    accuracy, f1 = exact["accuracy"], exact["f1"]
    candidates = (scored.rows,) if scored else _PLAUSIBLE
    found = {rows: totals(rows, accuracy.figure, f1.figure) for rows in candidates}
    fitting = {rows: total for rows, total in found.items() if total.count}
    what = f"accuracy {accuracy.text} and F1 {f1.text}"
    if not fitting:
        if scored:
            yield Finding(
                "not-of-one-class",
                "warning",
                f"{_capital(what)} cannot both hold for a positive class in {scored.rows:,} rows: "
                "F1 is an average, or one of the three numbers is wrong.",
                f"TP = errors x F1 / (2 (1 - F1)) is whole for no number of errors that accuracy "
                f"allows; rows: {scored.reason}",
            )
        return
    lines = []
    for rows, total in list(fitting.items())[:3]:
        errors = (int(total.errors.min()), int(total.errors.max()))
        hits = (int(total.first.min()), int(total.last.max()))
        lines.append(f"{rows:,} rows: {_range(errors)} errors, {_range(hits)} true positives")
    smallest = min(fitting)
    sure = fitting[smallest].count == 1 and smallest <= 5_000
    text = f"As scores of the positive class, {what} fit {smallest:,} scored rows"
    text += f", the fewest among {len(candidates)} usual numbers" if len(candidates) > 1 else ""
    text += ", and fix its errors and true positives there." if sure else "."
    yield Finding(
        "errors-and-hits",
        "note",
        text,
        "TP = (FP + FN) F1 / (2 (1 - F1)), FP + FN = rows x (1 - accuracy); " + "; ".join(lines),
    )


def check_harmonic_mean(facts: CardFacts) -> Iterator[Finding]:
    """Whether F1 is the harmonic mean of precision and recall, as it is for one class."""
    claims = [facts.headline(metric) for metric in ("precision", "recall", "f1")]
    if not all(claims):
        return
    precision, recall, f1 = (claim.printed for claim in claims if claim)
    low, high = harmonic_mean_range(precision.figure, recall.figure)
    if f1.figure.low < high + 1e-9 and low - 1e-9 < f1.figure.high:
        return
    named = {claim.average for claim in claims if claim} & {"macro", "weighted"}
    yield Finding(
        "f1-is-an-average",
        "note" if named or not facts.task.binary else "warning",
        f"F1 {f1.text} is not the harmonic mean of precision {precision.text} and recall "
        f"{recall.text}, so they are not scores of one class: averages, or an error.",
        f"2 P R / (P + R) lies in {low:.5g} to {high:.5g}; F1 in {f1.figure.low:.5g} to "
        f"{f1.figure.high:.5g}",
    )


def check_recall_is_accuracy(facts: CardFacts) -> Iterator[Finding]:
    """Recall that repeats accuracy is a weighted average."""
    accuracy, recall = facts.headline("accuracy"), facts.headline("recall")
    if not accuracy or not recall or accuracy.printed.text != recall.printed.text:
        return
    if accuracy.printed.figure.half_unit <= 0.00005 and recall.average is None:
        yield Finding(
            "recall-is-accuracy",
            "note",
            f"Recall repeats accuracy ({recall.printed.text}): it is probably a weighted or micro "
            "average, which always equals accuracy and adds nothing to it.",
            "weighted recall = sum of (rows of class / rows) x (hits of class / rows of class) = "
            "hits / rows",
        )


def _range(ends: tuple[int, int]) -> str:
    return f"{ends[0]:,}" if ends[0] == ends[1] else f"{ends[0]:,} to {ends[1]:,}"


def _listed(parts: list[str], word: str = "and") -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
