"""How the model of a run behaves, in words: figures of `evaluation.error_analysis`."""

import re
import unicodedata
from dataclasses import dataclass

import numpy as np

from cardproof.evaluation import error_analysis as analysis
from cardproof.evaluation.error_analysis import Calibration, CoveragePoint, DuplicateEffect, Mistake
from cardproof.evaluation.metrics import Floats
from cardproof.runs.facts import RunFacts

SHOWN_START, SHOWN_END = 180, 120  # characters of a review: a verdict often stands at its end
ABOUT = 0.005  # confidence this near to accuracy is called the same


@dataclass(frozen=True)
class Behaviour:
    """One run's analyses. What is not applicable is None.

    Attributes:
        before: calibration of the logits as they are.
        temperature: fitted on validation rows; None where there are none but the scored ones.
        after: calibration at that temperature.
        buckets: accuracy by length.
        cut: accuracy on rows that were cut and on rows read whole.
        selective: accuracy on the k surest rows, for each k; shape (rows,).
        points: of that curve.
        tied: whether all rows have the same confidence.
        mistakes: the surest ones.
        doubts: labels that confident learning doubts.
        duplicates: effects by kind: "train", "validation" (where there are other validation
            rows), "repeats", "overlap" (train or validation) and "any".
    """

    before: Calibration
    temperature: analysis.TemperatureFit | None
    after: Calibration | None
    buckets: list[analysis.LengthBucket]
    cut: analysis.CutEffect
    selective: Floats
    points: list[CoveragePoint]
    tied: bool
    mistakes: list[Mistake]
    doubts: analysis.LabelDoubts
    duplicates: dict[str, DuplicateEffect]


@dataclass(frozen=True)
class ShownMistake:
    """A mistake with its review: the row's number in the file of reviews, and a shortened text."""

    row: int
    label: str
    predicted: str
    confidence: str
    likely_mislabelled: bool
    text: str


@dataclass(frozen=True)
class Described:
    """What the page shows of a run's behaviour: the figures, a sentence each, and the mistakes."""

    found: Behaviour
    calibration: str
    selective: str
    lengths: str
    doubts: str
    duplicates: str
    mistakes: list[ShownMistake]
    names: list[str]  # of the labels 0 and 1
    file: str  # which file of reviews the rows' numbers are of: test or train


def analyse(run: RunFacts) -> Behaviour:
    """Everything that the page, the figures and metrics/analysis.json need."""
    labels, logits, reviews = run.labels, run.logits, run.reviews
    right = analysis.right_rows(labels, logits)
    other = run.validation
    fit = analysis.fit_temperature(other.labels, other.logits) if other else None
    scaled = logits / fit.temperature if fit and fit.temperature else None
    doubts = analysis.doubt_labels(labels, logits)
    kinds = {"train": reviews.in_train, "repeats": reviews.repeated}
    overlap = reviews.in_train
    if reviews.in_validation is not None:
        kinds["validation"] = reviews.in_validation
        overlap = overlap | reviews.in_validation
    return Behaviour(
        before=analysis.calibration(labels, logits),
        temperature=fit,
        after=None if scaled is None else analysis.calibration(labels, scaled),
        buckets=analysis.length_buckets(right, reviews.full_lengths, reviews.lengths),
        cut=analysis.cut_effect(right, reviews.full_lengths > reviews.lengths),
        selective=analysis.selective_curve(labels, logits),
        points=analysis.coverage_points(labels, logits),
        tied=bool(np.ptp(np.abs(logits[:, 1] - logits[:, 0])) == 0),
        mistakes=analysis.confident_mistakes(labels, logits, doubts.doubted),
        doubts=doubts,
        duplicates=analysis.duplicate_effects(right, kinds | {"overlap": overlap}),
    )


def behaviour_metrics(found: Behaviour) -> dict[str, float]:
    """Flat, finite metrics; a figure that a run does not have has no key."""
    maybe: dict[str, float | None] = {
        "mean_confidence": found.before.confidence,
        "temperature": found.temperature.temperature if found.temperature else None,
        "calibration_error_scaled": found.after.error if found.after else None,
        "loss_scaled": found.after.loss if found.after else None,
        "selective_accuracy_area": float(found.selective.mean()),
    }
    rows = len(found.selective)
    for share in (95, 90, 80, 50):
        count = max(1, round(share / 100 * rows))
        maybe[f"accuracy_at_{share}_coverage"] = float(found.selective[count - 1])
    maybe |= {"rows_cut": found.cut.rows_cut, "accuracy_cut": found.cut.accuracy_cut}
    maybe["accuracy_whole"] = found.cut.accuracy_whole
    for b in found.buckets:
        name = f"over_{b.first - 1}" if b.last is None else f"{b.first}_to_{b.last}"
        maybe[f"accuracy_{name}_tokens"] = b.accuracy
    maybe["likely_mislabelled"] = int(found.doubts.doubted.sum())
    names = {"train": "train_texts", "validation": "validation_texts", "repeats": "repeats",
             "overlap": "overlap", "any": "duplicates"}  # fmt: skip
    for kind, effect in found.duplicates.items():
        maybe[f"rows_{names[kind]}"] = effect.rows
        maybe[f"accuracy_without_{names[kind]}"] = effect.accuracy_without
    return {key: value for key, value in maybe.items() if value is not None}


def describe(run: RunFacts) -> Described:
    """A run's behaviour as the page shows it."""
    found = analyse(run)
    names = run.recipe.card.labels or ["negative", "positive"]
    shown = [
        ShownMistake(
            row=int(run.reviews.rows[m.index]),
            label=names[m.label],
            predicted=names[m.predicted],
            confidence=confidence(m.confidence),
            likely_mislabelled=m.likely_mislabelled,
            text=shorten(run.reviews.texts[m.index]),
        )
        for m in found.mistakes
    ]
    return Described(
        found=found,
        calibration=f"{say_calibration(found.before)} {say_temperature(run, found)}",
        selective=say_selective(found),
        lengths=say_lengths(found, run.recipe.tokenize.max_length),
        doubts=say_mistakes(found),
        duplicates=say_duplicates(found),
        mistakes=shown,
        names=names,
        file="test" if run.recipe.split.scored_set == "test" else "train",
    )


def say_calibration(c: Calibration) -> str:
    """Whether the model is as sure as it is right."""
    much = c.confidence - c.accuracy
    how = "as sure as" if abs(much) < ABOUT else "surer than" if much > 0 else "less sure than"
    return (
        f"Its mean confidence is {percent(c.confidence)} and its accuracy {percent(c.accuracy)}: "
        f"on average it is {how} it is right, with a calibration error of {c.error:.3f}."
    )


def say_temperature(run: RunFacts, found: Behaviour) -> str:
    """What a temperature does, or why none was fitted."""
    if found.temperature is None or run.validation is None:
        if run.recipe.split.validation_set is None:
            return "No temperature is fitted: this run validates on no rows."
        return (
            "No temperature is fitted: the validation rows are the scored rows, and a temperature "
            "fitted on those would be fitted on the test."
        )
    rows = _count(len(run.validation.labels), "validation row")
    if found.after is None or found.temperature.temperature is None:
        why = {
            "all right": f"favours no wrong label on the {rows}, and the loss only falls as the "
            "temperature goes to zero",
            "no signal": f"favours wrong labels as much as right ones on the {rows}, and the loss "
            "only falls as the temperature grows",
        }[found.temperature.outcome]
        return f"No temperature is fitted: the model {why}."
    error = _instead(f"{found.after.error:.3f}", f"{found.before.error:.3f}")
    loss = _instead(f"{found.after.loss:.4f}", f"{found.before.loss:.4f}")
    return (
        f"With its logits divided by {found.temperature.temperature:.3g}, the temperature fitted "
        f"on the {rows}, the calibration error is {error} and the loss {loss}."
    )


def say_selective(found: Behaviour) -> str:
    """What leaving out the least sure rows would gain."""
    rows = len(found.selective)
    if rows == 1:
        return "A single review was scored: there is none to leave out."
    if found.tied:
        return "It is equally sure of every review: none is the one to leave out first."
    fewer = [p for p in found.points if p.rows < rows]
    point = min(fewer, key=lambda p: abs(p.coverage - 0.8))
    which = f"the {point.rows:,} reviews" if point.rows > 1 else "the one review"
    return (
        f"Answering only {which} of {rows:,} that it is surest of, it would be right on "
        f"{percent(point.accuracy)} of them; answering all, it is right on "
        f"{percent(found.points[0].accuracy)}."
    )


def say_lengths(found: Behaviour, max_length: int) -> str:
    """What the cut does to long reviews."""
    cut, limit = found.cut, f"the {max_length} tokens that the model reads"
    if cut.accuracy_cut is None:
        return f"No review is longer than {limit}: nothing was cut off."
    right = percent(cut.accuracy_cut)
    if cut.accuracy_whole is None or cut.p is None:
        return f"Every review is longer than {limit}; it has {right} of them right."
    rows = cut.rows_cut + cut.rows_whole
    start = (
        f"Of reviews longer than {limit} ({cut.rows_cut:,} of {rows:,}, "
        f"{percent(cut.rows_cut / rows, 1)}) it has {right} right, of the others "
        f"{percent(cut.accuracy_whole)}"
    )
    if cut.accuracy_cut == cut.accuracy_whole:
        return f"{start}: there is no difference."
    word = "more than chance explains" if cut.p < 0.05 else "which chance alone can make"
    p = "p < 0.001" if cut.p < 0.001 else f"p = {cut.p:.3f}"
    return f"{start}: a difference {word} (Fisher’s exact test, {p})."


def say_mistakes(found: Behaviour) -> str:
    """How many mistakes, how many are shown, and how many labels are doubted."""
    rows, shown = len(found.selective), len(found.mistakes)
    wrong = rows - round(found.before.accuracy * rows)
    which = f"the {shown} it is surest of stand here" if shown < wrong else "all stand here"
    which = "it stands here" if wrong == 1 else which
    first = f"It is wrong on {wrong:,} of {_count(rows, 'review')}; {which}."
    if wrong == 0:
        first = f"It is wrong on none of {_count(rows, 'review')}."
    doubted = int(found.doubts.doubted.sum())
    here = sum(m.likely_mislabelled for m in found.mistakes)
    if None in found.doubts.thresholds:
        second = "Only one label was scored, so confident learning can doubt none."
    elif doubted == 0:
        second = "Confident learning doubts none of the labels."
    else:
        among = f", {here} of them here" if shown else ""
        second = (
            f"Confident learning doubts {_count(doubted, 'label')}{among}: worth a look, no proof "
            "that the label is wrong."
        )
    return f"{first} {second}"


def say_duplicates(found: Behaviour) -> str:
    """What the accuracy owes to texts that the model may have seen."""
    effects, rows = found.duplicates, len(found.selective)
    sets = "training or validation rows" if "validation" in effects else "training rows"
    overlap, repeats, anything = effects["overlap"], effects["repeats"], effects["any"]
    if anything.rows == 0:
        return f"No scored text stands in the {sets}, and none is scored twice."
    known, again = overlap.rows, repeats.rows
    start = (
        f"{_number(known, 'None')} of {_count(rows, 'scored text')} "
        f"{'stand' if known > 1 else 'stands'} in the {sets} and {_number(again, 'none')} "
        f"{'repeat' if again > 1 else 'repeats'} an earlier one"
    )
    if anything.accuracy_without is None:
        return f"{start}: no row is left without {'it' if anything.rows == 1 else 'them'}."
    with_all, without = percent(found.before.accuracy), percent(anything.accuracy_without)
    changed = (
        f"stays at {without}" if with_all == without else f"is {without} instead of {with_all}"
    )
    return f"{start}; without {'it' if anything.rows == 1 else 'them'}, the accuracy {changed}."


def shorten(text: str) -> str:
    """A review's start and end on one line, without marks that steer a page or its direction."""
    # Wide ends are taken first, so that a huge review costs no more than a small one.
    long = len(text) > 10 * (SHOWN_START + SHOWN_END)
    parts = [text[: 10 * SHOWN_START], text[-10 * SHOWN_END :]] if long else [text]
    clean = [_one_line(part) for part in parts]
    if not long and len(clean[0]) <= SHOWN_START + SHOWN_END:
        return clean[0]
    start, end = clean[0][: SHOWN_START + 1], clean[-1][-SHOWN_END - 1 :]
    # whole words, if there are any
    return f"{start.rpartition(' ')[0] or start[:-1]} … {end.partition(' ')[2] or end[1:]}"


def _one_line(text: str) -> str:
    text = re.sub(r"<br\s*/?>", " ", text)  # the reviews are full of it
    # Unicode's categories C: control and format characters, NUL and the marks of direction too
    kept = (" " if unicodedata.category(c).startswith("C") else c for c in text)
    return " ".join("".join(kept).split())


def percent(share: float, digits: int = 2) -> str:
    """A share as "92.10 %"; what is not quite none or all is never rounded to it."""
    least, unit = 10**-digits, "\u00a0%"  # a space at which no line breaks
    if 0 < share < 1:
        if round(100 * share, digits) == 0:
            return f"under {least:.{digits}f}{unit}"
        if round(100 * share, digits) == 100:
            return f"over {100 - least:.{digits}f}{unit}"
    return f"{100 * share:.{digits}f}{unit}"


def confidence(probability: float) -> str:
    """A probability from 0.5 to 1 as "0.9876"; in floats, 1 is what is too near to it."""
    return "over 0.9999" if round(probability, 4) == 1 else f"{probability:.4f}"


def _instead(after: str, before: str) -> str:
    return f"still {after}" if after == before else f"{after} instead of {before}"


def _number(number: int, none: str) -> str:
    return f"{number:,}" if number else none


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
