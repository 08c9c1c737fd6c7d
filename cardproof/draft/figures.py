"""The figures that a card claims, as it prints them, under the keys of a card's `claims`."""

import math
import re
from collections.abc import Iterator
from fractions import Fraction

from cardproof.audit.facts import CardFacts, TrainingRow
from cardproof.audit.numbers import exactly, whole
from cardproof.audit.tables import is_training
from cardproof.audit.vocabulary import metric_named
from cardproof.claims.published import IMDB_SPLIT
from cardproof.draft.document import Document, Value, limited, search
from cardproof.recipe.reported import PrintedFigure, check_printed, is_blank, with_percent

METRICS = ("accuracy", "loss", "f1", "precision", "recall")
# A reader of the card sees its text; the metadata often has the same figure with 16 digits.
_ORDER = ("results list", "JSON block", "table", "prose", "metadata")
_ALL_DIGITS = 14  # decimals: Python prints 15 to 17 digits of a share that has no end
_LEAST_ROWS, _MOST_ROWS = 100, 2_000  # a share of more rows fits several fractions

_COUNT = r"([~≈]?(?<![\w.,])\d[\d,]{0,11}+(?:\.\d{1,3}+)?+[kK]?(?!\w))"
_ROWS = r"(?:examples?|samples?|reviews?|rows|texts|instances)\b"
# "100 test rows" are those that it was scored on, which the audit reads.
_COUNTS = {
    "steps": rf"{_COUNT} (?:optimi[sz](?:er|ation)|training|update|total) steps\b",
    "train_rows": rf"{_COUNT} (?:for training\b|train(?:ing)? {_ROWS})"
    rf"|\btrain(?:ing)?(?: set)? \({_COUNT}\)",
    "validation_rows": rf"{_COUNT} (?:for validation\b|validation {_ROWS})"
    rf"|\bvalidation(?: set)? \({_COUNT}\)",
    "test_rows": rf"{_COUNT} for test(?:ing)?\b|\btest(?: set)? \({_COUNT}\)",
    "parameters": r"(?<![\w.,])(\d{1,4}(?:\.\d{1,2})?M) param(?:eter)?s?\b",
    "model_mebibytes": r"\bmodel(?:\.safetensors| file| size)[^\n.\d]{0,40}?"
    r"(\d{1,5}(?:\.\d{1,2})?) ?MB\b",
}
_MILLISECONDS = re.compile(r"([~≈]?\s?(?:[\d,]{1,9}(?:\.\d{1,6})?|X{1,4}\.X{1,6}) ?ms)\b")
_AVERAGED = re.compile(r"\bf1|\bprecision|\brecall", re.I)
_NAMED_ROWS = r"(?<![\w.])(\d[\d,]{0,9}k?)[-_]samples?\b"


def read_figures(document: Document) -> Iterator[Value | str]:
    """All claims of a card, and what they give away of the rows that it was scored on."""
    facts = document.facts
    yield from _scores(document)
    yield from _counts(document)
    yield from _of_tables(document)
    yield from _averaging(document)
    yield from _epochs(facts)
    yield from _scored_rows(facts)
    yield from _rows_of_its_name(document)


def _scores(document: Document) -> Iterator[Value | str]:
    """Scores and loss of the model as a whole; a note where a run needs them in another form."""
    for metric in METRICS:
        printed = _headline(document.facts, metric)
        if printed is None:
            continue
        text = printed if metric == "loss" else with_percent(printed)
        yield Value(f"claims.{metric}", text)
        comma = printed.replace(".", ",")  # the audit reads it as a decimal point
        there = re.search(rf"(?<![\w.,]){re.escape(comma)}(?!\d)", document.text)
        original = comma if there else printed
        if original != text:
            yield f"{metric} {original}: taken for {text}"


def _headline(facts: CardFacts, metric: str) -> str | None:
    """The figure of the model as a whole, as the card prints it."""
    claims = [claim for claim in facts.claims if claim.metric == metric and claim.subject is None]
    # Metadata says "train" of evaluation figures often enough; no other place does.
    claims = [claim for claim in claims if claim.split != "train" or claim.source == "metadata"]
    claims.sort(key=lambda claim: _ORDER.index(claim.source))
    texts = (" ".join(claim.printed.text.split()) for claim in claims)
    return next(filter(_is_figure, texts), None)


def _is_figure(text: str) -> bool:
    try:
        return bool(check_printed(text))
    except ValueError:
        return False


def _counts(document: Document) -> Iterator[Value | str]:
    """Numbers of steps, rows and parameters, and the size of the model."""
    if document.facts.test_rows:
        yield Value("claims.scored_rows", f"{document.facts.test_rows.rows:,}")
    for key, pattern in _COUNTS.items():
        text = search(pattern, document.prose).strip()
        if _is_figure(text):
            yield Value(f"claims.{key}", text)
        if text and key == "model_mebibytes":
            yield f'"{text} MB": taken for mebibytes (2^20 bytes), as file managers show them'


def _of_tables(document: Document) -> Iterator[Value]:
    """Placeholders of a table with a metric a row, and the time per example, blank or not."""
    tables = (table for table in document.tables if not is_training(table))
    for row in (row for table in tables for row in table.rows):
        name, value = (*row, "", "")[:2]
        metric, time = metric_named(name), _MILLISECONDS.search(value)
        if metric in METRICS and is_blank(value):
            yield Value(f"claims.{metric}", value)
        elif time:
            yield Value("claims.milliseconds_per_example", " ".join(time[1].split()))


def _averaging(document: Document) -> Iterator[Value | str]:
    """How F1, precision and recall are averaged over the classes, where the card says it."""
    claims = [claim for claim in document.facts.claims if _AVERAGED.match(claim.metric)]
    found = {claim.average for claim in claims if claim.average and claim.subject is None}
    for sentence in document.sentences if claims and not found else ():
        if _AVERAGED.search(sentence):
            found |= {name for name in ("weighted", "macro") if name in sentence.lower()}
    if found >= {"macro", "weighted"}:
        yield "macro and weighted averages are the same where the classes are balanced: taken so"
    averages = ("macro", "weighted", "binary")
    yield Value("claims.averaging", next((name for name in averages if name in found), None))


def _epochs(facts: CardFacts) -> Iterator[Value | str]:
    """The rows of the Trainer's table; a note where its accuracies lack the %."""
    yield Value("claims.epochs", list(filter(None, map(_cells, facts.training_rows))))
    for row in facts.training_rows:
        printed = row.scores["accuracy"].text if "accuracy" in row.scores else ""
        if printed != with_percent(printed):
            yield f"accuracy {printed} in its table: taken for {with_percent(printed)}"
            return


def _cells(row: TrainingRow) -> list[str] | None:
    """Training loss, epoch, step, validation loss and accuracy of a whole epoch, or None."""
    accuracy = row.scores.get("accuracy")
    if row.epoch is None or row.step is None or row.loss is None or accuracy is None:
        return None
    training = row.training_loss.text if row.training_loss else "No log"
    cells = [training, row.epoch.text, str(row.step), row.loss.text, with_percent(accuracy.text)]
    epoch = row.epoch.figure.value
    return cells if epoch > 0 and epoch % 1 == 0 and all(map(_is_figure, cells)) else None


def _scored_rows(facts: CardFacts) -> Iterator[Value]:
    """The rows behind an accuracy with all digits of a float: 0.8766666666666667 is 263 / 300.

    Where F1 is claimed too, of one class, the fewest of their multiples that can give it.
    """
    accuracy, f1 = facts.headline("accuracy"), facts.headline("f1")
    text = accuracy.printed.text if accuracy else ""
    if accuracy is None or len(text.partition(".")[2]) < _ALL_DIGITS:
        return
    share = accuracy.printed.figure
    least = Fraction(share.value).limit_denominator(_MOST_ROWS).denominator
    if abs(round(share.value * least) / least - share.value) > 1e-15 or least < _LEAST_ROWS:
        return
    if f1 is None or f1.average not in (None, "binary"):
        fitting, besides = [least], ", or of a multiple"
    else:
        places = 17 if f1.source == "metadata" else 4
        score = exactly(f1.printed, places).figure if facts.generated else f1.printed.figure
        multiples = range(least, _MOST_ROWS + 1, least)
        fitting = [n for n in multiples if _gives_f1(round(share.value * n), n, score)]
        besides = f", the fewest that also give F1 {f1.printed.text}"
    for rows in [rows for rows in fitting if rows % 2 == 0][:1]:
        why = f"accuracy {text} is {round(share.value * rows)} of {rows} rows{besides}"
        yield Value("split.scored_rows", rows, why, assumed=True)


def _gives_f1(correct: int, rows: int, f1: PrintedFigure) -> bool:
    """Whether F1 of class 1 is possible with so many rows right, whatever the rows of each class.

    From F1 = 2 TP / (2 TP + FP + FN): TP = (FP + FN) F1 / (2 (1 - F1)), a whole number.
    """
    errors = rows - correct
    if errors == 0:
        return f1.covers(1.0)
    fewest, most = (errors * end / (2 * (1 - end)) if end < 1 else math.inf
                    for end in (f1.low - 1e-12, f1.high + 1e-12))  # fmt: skip
    return fewest <= correct and math.ceil(fewest) <= min(most, correct)


def _rows_of_its_name(document: Document) -> Iterator[Value | str]:
    """A number of rows in the model's name: cards have no key for it."""
    rows = whole(search(_NAMED_ROWS, document.text))
    if rows and 2 <= rows < IMDB_SPLIT:
        yield from limited(rows, f"its name says {rows:,} samples")
