"""The figures that a card claims, as it prints them, under the keys of a card's `claims`."""

import re
from fractions import Fraction
from typing import Any

from cardproof.audit.facts import CardFacts, Claim, TrainingRow
from cardproof.audit.tables import Table, is_training
from cardproof.audit.vocabulary import average_in, metric_named
from cardproof.draft.document import Document, shown
from cardproof.draft.parts import Part, Reasoned
from cardproof.recipe.reported import check_printed, is_blank

METRICS = ("accuracy", "loss", "f1", "precision", "recall")
_NO_LOG = "No log"
# A reader of the card sees its text; the metadata often has the same figure with 16 digits.
_ORDER = ("results list", "JSON block", "table", "prose", "metadata")
_ALL_DIGITS = 14  # decimals: Python prints 15 to 17 digits of a share that has no end
_LEAST_ROWS, _MOST_ROWS = 100, 2_000  # a share of more rows fits several fractions
_AVERAGED = ("f1", "precision", "recall")

_COUNT = r"[~≈]?(?<![\w.,])\d[\d,]{0,11}+(?:\.\d{1,3}+)?+[kK]?(?!\w)"
_ROWS = r"(?:examples?|samples?|reviews?|rows|texts|instances)\b"
_STEPS = rf"({_COUNT}) (?:optimi[sz](?:er|ation)|training|update|gradient|total) steps\b"
_COUNTS = {
    "steps": (_STEPS,),
    "train_rows": (
        rf"({_COUNT}) (?:train|training) {_ROWS}",
        rf"({_COUNT}) for training\b",
        rf"\btrain(?:ing)?(?: set)? \(({_COUNT})\)",
    ),
    "validation_rows": (
        rf"({_COUNT}) (?:validation|dev) {_ROWS}",
        rf"({_COUNT}) for validation\b",
        rf"\bvalidation(?: set)? \(({_COUNT})\)",
    ),
    "test_rows": (
        rf"({_COUNT}) for test(?:ing)?\b",
        rf"\btest(?: set)? \(({_COUNT})\)",
    ),
    "parameters": (r"(?<![\w.,])(\d{1,4}(?:\.\d{1,2})?M) param(?:eter)?s?\b",),
    "model_mebibytes": (
        r"\bmodel(?:\.safetensors| file| size)[^\n.\d]{0,40}?(\d{1,5}(?:\.\d{1,2})?) ?MB\b",
    ),
}
_COMPILED = {
    key: tuple(re.compile(pattern, re.I) for pattern in patterns)
    for key, patterns in _COUNTS.items()
}
_MILLISECONDS = re.compile(r"([~≈]?\s?(?:[\d,]{1,9}(?:\.\d{1,6})?|X{1,4}\.X{1,6}) ?ms)\b")
_TIME = re.compile(r"\binference\b|\blatency\b|\btime\b", re.I)
_AVERAGES = re.compile(r"\b(weighted|macro|micro)\b", re.I)
_NAMED_ROWS = re.compile(r"(?<![\w.])(\d[\d,]{0,9}[kK]?)[-_]samples?\b", re.I)


def read_figures(document: Document) -> Part:
    """All claims of a card, and what it claims that has no key or is not measured here."""
    facts = document.facts
    found = {key: text for key in METRICS if (text := _headline(facts, key))}
    blanks = _blanks(document.tables)
    counts = {
        key: text
        for key, patterns in _COMPILED.items()
        if (text := _first(patterns, document.prose))
    }
    if facts.test_rows:
        counts["scored_rows"] = f"{facts.test_rows.rows:,}"
    claims: dict[str, Any] = {**blanks, **counts, **found}
    averaging, notes = _averaging(document) if any(k in claims for k in _AVERAGED) else (None, [])
    if averaging:
        claims["averaging"] = averaging
    epochs, of_epochs = _epochs(facts)
    if epochs:
        claims["epochs"] = epochs
    if "model_mebibytes" in claims:
        notes.append(
            f'"{claims["model_mebibytes"]} MB": taken for mebibytes (2^20 bytes), as file managers '
            "show them; change claims.model_mebibytes if it is not"
        )
    notes += [*of_epochs, *_other_columns(facts), *_few_rows(document)]
    stated = {f"claims.{key}": value for key, value in claims.items()}
    return Part(stated, {}, _scored_rows(facts), tuple(notes))


def _headline(facts: CardFacts, metric: str) -> str | None:
    """The figure of the model as a whole, as the card prints it."""
    claims = [
        claim
        for claim in facts.claims
        if claim.metric == metric and claim.subject is None and _is_claim(claim)
    ]
    claims.sort(key=lambda claim: _ORDER.index(claim.source))
    texts = (" ".join(claim.printed.text.split()) for claim in claims)
    return next((text for text in texts if _is_figure(text)), None)


def _scored_rows(facts: CardFacts) -> dict[str, Reasoned]:
    """The rows behind an accuracy with all digits of a float: 0.8766666666666667 is 263 / 300."""
    for claim in facts.claims:
        if claim.metric != "accuracy" or len(claim.printed.text.partition(".")[2]) < _ALL_DIGITS:
            continue
        share = claim.printed.figure.value
        right, rows = Fraction(share).limit_denominator(_MOST_ROWS).as_integer_ratio()
        if abs(right / rows - share) < 1e-15 and rows >= _LEAST_ROWS and rows % 2 == 0:
            why = f"accuracy {claim.printed.text} is {right} of {rows} rows, or of a multiple"
            return {"split.scored_rows": Reasoned(rows, why)}
    return {}


def _is_claim(claim: Claim) -> bool:
    """Metadata says "train" of evaluation figures often enough; no other place does."""
    return claim.split != "train" or claim.source == "metadata"


def _is_figure(text: str) -> bool:
    try:
        check_printed(text)
    except ValueError:
        return False
    return True


def _first(patterns: tuple[re.Pattern[str], ...], text: str) -> str | None:
    """The first match that is a figure as a card's file takes it."""
    matches = (pattern.search(text) for pattern in patterns)
    return next((m[1].strip() for m in matches if m and _is_figure(m[1].strip())), None)


def _blanks(tables: tuple[Table, ...]) -> dict[str, str]:
    """Placeholders of a table with a metric a row, and the time per example, blank or not."""
    found: dict[str, str] = {}
    for row in (row for table in tables if not is_training(table) for row in table.rows):
        name, value = (*row, "", "")[:2]
        metric, time = metric_named(name), _MILLISECONDS.search(value)
        if metric and is_blank(value):
            found.setdefault(metric, value)
        elif time and _TIME.search(name):
            found.setdefault("milliseconds_per_example", " ".join(time[1].split()))
    return found


def _averaging(document: Document) -> tuple[str | None, list[str]]:
    """How F1, precision and recall are averaged over the classes, where the card says it."""
    claims = [claim for claim in document.facts.claims if claim.metric in _AVERAGED]
    named = [claim.average for claim in claims if claim.average and claim.subject is None]
    if named and named[0] in ("binary", "macro", "weighted"):
        return named[0], []
    for sentence in document.sentences:
        words = {word.lower() for word in _AVERAGES.findall(sentence)}
        if not words or not re.search(r"\bf1|\bprecision|\brecall", sentence, re.I):
            continue
        if average_in(sentence) in ("macro", "weighted"):
            return average_in(sentence), []
        if words == {"macro", "weighted"}:
            note = (
                'its averages are "weighted/macro", which are the same where the classes are '
                "balanced; claims.averaging is macro"
            )
            return "macro", [note]
    return None, []


def _epochs(facts: CardFacts) -> tuple[list[list[str]], list[str]]:
    """Rows of its training table that are whole epochs, with all five cells."""
    rows, left_out, scoreless = [], 0, 0
    for row in facts.training_rows:
        cells = _cells(row)
        if row.epoch is None or row.epoch.figure.value % 1 or row.epoch.figure.value <= 0:
            left_out += 1
        elif cells is None:
            scoreless += 1
        else:
            rows.append(cells)
    notes = []
    if left_out:
        notes.append(f"{left_out} rows of its training table are of no whole epoch: left out")
    if scoreless:
        notes.append(f"{scoreless} rows of its training table have no loss or accuracy: left out")
    return rows, notes


def _cells(row: TrainingRow) -> list[str] | None:
    """Training loss, epoch, step, validation loss and accuracy; None if one is missing."""
    accuracy = row.scores.get("accuracy")
    if row.epoch is None or row.step is None or row.loss is None or accuracy is None:
        return None
    training = row.training_loss.text if row.training_loss else _NO_LOG
    cells = [training, row.epoch.text, str(row.step), row.loss.text, accuracy.text]
    return cells if all(_is_figure(cell) for cell in cells) else None


def _other_columns(facts: CardFacts) -> list[str]:
    """Columns of the training table that a card's `epochs` do not have."""
    names = dict.fromkeys(name for row in facts.training_rows for name in row.scores)
    others = [shown(name, 30) for name in names if name != "accuracy"]
    told = f"columns of its training table that no key takes: {', '.join(others)}"
    return [told] if others else []


def _few_rows(document: Document) -> list[str]:
    """A number of rows in the model's name: cards have no key for it."""
    match = _NAMED_ROWS.search(document.text)
    rows = _rows(match[1]) if match else 0
    if not match or not 2 <= rows < 25_000:
        return []
    return [
        f'"{shown(match[0])}": no key limits a card\'s rows; if it was trained on so many, run it '
        f"with -S data.limit={rows}"
    ]


def _rows(text: str) -> int:
    plain = text.replace(",", "").lower()
    return int(plain.rstrip("k")) * (1000 if plain.endswith("k") else 1)
