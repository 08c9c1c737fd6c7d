"""How a card says that the model was trained and scored: hyperparameters and numbers of rows."""

import re
from collections.abc import Callable, Iterator

from cardproof.audit.facts import Hyperparameters, Printed, TestRows
from cardproof.audit.numbers import read_number, whole

NUMBER = r"(\d[\d,]{0,14}+(?:\.\d{1,20}+)?+(?:[eE][-+]?\d{1,3})?+)(?![\w%])"
_WHOLE = r"(?<![\d,.])(\d[\d,]{0,14}+)(?![\w%]|\.\d)"
# The Trainer's own names come first; what people write about the same, after them.
_PATTERNS = {
    "learning_rate": (
        rf"\blearning_rate\W{{1,6}}{NUMBER}",
        rf"\blearning[ -]rate\W{{1,8}}(?:of |is |was )?{NUMBER}",
        rf"\blr\W{{1,4}}{NUMBER}",
    ),
    "batch": (
        rf"(?<!total_)train_batch_size\W{{1,6}}{_WHOLE}",
        r"(?<!eval )(?<!evaluation )(?<!test )"
        rf"\bbatch[ _-]sizes?\W{{1,8}}(?:of |is |was )?{_WHOLE}",
    ),
    "devices": (rf"\bnum_devices\W{{1,6}}{_WHOLE}",),
    "accumulation": (rf"\bgradient[ _]accumulation(?:[ _]steps)?\W{{1,6}}(?:of )?{_WHOLE}",),
    "total_batch": (rf"\btotal_train_batch_size\W{{1,6}}{_WHOLE}",),
    "epochs": (
        rf"\bnum(?:_train)?_epochs\W{{1,6}}{NUMBER}",
        rf"\bepochs[\s:=|*`]{{1,8}}(?:of |is |was )?{NUMBER}",
        r"\b(\d{1,3}|one|two|three|four|five) (?:training )?epochs?\b",
    ),
    "max_steps": (rf"\b(?:training|max)_steps\W{{1,6}}{_WHOLE}",),
    "steps": (rf"{_WHOLE} (?:optimi[sz](?:er|ation)|training|update|total|gradient) steps\b",),
    "seed": (rf"\bseed\W{{1,8}}(?:of |is )?{_WHOLE}",),
}
_COMPILED = {
    name: tuple(re.compile(pattern, re.I) for pattern in patterns)
    for name, patterns in _PATTERNS.items()
}
# Words without which none of the patterns fits: looked for first, as that is far quicker.
_NEEDLES = {"batch": "batch", "devices": "num_devices", "accumulation": "accumulation",
            "total_batch": "total_train", "epochs": "epoch", "max_steps": "_steps",
            "steps": " steps", "seed": "seed"}  # fmt: skip
# The Trainer's own lines, with nothing but the number: 2*2 is no number, nor are 12 sequences.
_LINE_END = r"(?=[ \t]*$|\s+[-#•|]{1,6}\s+[A-Za-z])"  # or the next entry, where lines are lost
_LISTED_EPOCHS = re.compile(rf"\bnum_epochs: ?(\d{{1,4}}(?:\.\d{{1,6}})?){_LINE_END}", re.M)
_LISTED_BATCH = re.compile(rf"(?<!\w)(?:total_)?train_batch_size: ?\d{{1,9}}{_LINE_END}", re.M)
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_WORDS = {word: float(count) for count, word in enumerate(NUMBERS, 1)}

_ROWS = r"(?:examples?|samples?|reviews?|rows|sentences|texts|instances)\b"
# Without one of these none of the patterns below fits: looked for first, as that is far quicker.
_ROWS_NAMED = re.compile(rf"[\dk] (?:[a-z-]{{1,12}} ){{0,2}}{_ROWS}|\btrain[^()\n]{{0,9}} \(", re.I)
# A point is of thousands in some countries, unless a "k" follows.
_COUNT = r"(?<![\w.,])(\d[\d,]{0,11}+(?:\.\d{1,3}+k|k)?+)"
_TEST_ROWS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"\b(?:test|evaluation|eval|held-out) (?:set|split|subset) of "
        rf"{_COUNT} (?:[a-z-]{{1,12}} )?{_ROWS}",
        rf"{_COUNT} (?:balanced )?(?:test|evaluation|eval|held-out) {_ROWS}",
        r"\b(?:test|evaluation|eval|held-out) (?:set|split|subset|data)"
        r"(?:\W{1,3}(?:n ?= ?)?| (?:has|with|contains|comprises|consists of) )"
        rf"{_COUNT} "
        rf"{_ROWS}",
        rf"\b(?:evaluated|evaluation|scored|tested|scores?) (?:is |are )?on {_COUNT} "
        rf"(?:[a-z-]{{1,12}} )?{_ROWS}",
    )
)
_TRAIN_ROWS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"{_COUNT} (?:train|training) {_ROWS}",
        rf"\btrained on {_COUNT} (?:[a-z-]{{1,12}} )?{_ROWS}",
        rf"\btrain(?:ing)?(?: set| split)? \([~≈]?{_COUNT}\)",
    )
)
_CLASSES = re.compile(r"\b(\d[\d,]{0,9}+) positives?\b.{0,20}?\b(\d[\d,]{0,9}+) negatives?\b", re.I)


def read_hyperparameters(text: str, line_of: Callable[[int], int]) -> Hyperparameters:
    """The recipe, from the Trainer's list or from prose."""
    lower = text.lower()
    found = {
        name: _first_number(text, patterns) if _NEEDLES.get(name, "") in lower else None
        for name, patterns in _COMPILED.items()
    }

    def count(name: str) -> int | None:
        value = found[name]
        return round(value) if value is not None and value >= 1 else None

    return Hyperparameters(
        learning_rate=found["learning_rate"],
        batch=count("batch"),
        devices=count("devices"),
        accumulation=count("accumulation"),
        total_batch=count("total_batch"),
        epochs=found["epochs"],
        max_steps=count("max_steps"),
        steps=count("steps"),
        seed=None if (seed := found["seed"]) is None else round(seed),
        listed_epochs=_only_number(_LISTED_EPOCHS.findall(text)),
        plain_batches=len(_LISTED_BATCH.findall(text)) == 2 == lower.count("train_batch_size"),
        line=line_of(match.start()) if (match := _COMPILED["batch"][0].search(text)) else 1,
    )


def _first_number(text: str, patterns: tuple[re.Pattern[str], ...]) -> float | None:
    for pattern in patterns:
        match = pattern.search(text)
        if match:
            word = match[1].lower()
            printed = None if word in _WORDS else read_number(word)
            return printed.figure.value if printed else _WORDS.get(word)
    return None


def _only_number(found: list[str]) -> float | None:
    """The number that all of some texts are, if there is one."""
    values = {float(text) for text in found}
    return values.pop() if len(values) == 1 else None


def read_test_rows(text: str, line_of: Callable[[int], int]) -> TestRows | None:
    """The rows that the card says it was scored on; None if it does not, or names several."""
    found: dict[int, TestRows] = {}
    for match in _matches(text, _TEST_ROWS):
        rows = whole(match[1])
        if rows:
            passage = text[match.start() : match.end() + 60].partition("\n")[0]
            halves = _CLASSES.search(passage)
            counts = (whole(halves[1]) or 0, whole(halves[2]) or 0) if halves else None
            classes = counts if counts and sum(counts) == rows else None
            quote = f'line {line_of(match.start())}: "{match[0]}"'
            found.setdefault(rows, TestRows(rows, classes, quote))
    return next(iter(found.values())) if len(found) == 1 else None


def read_train_rows(text: str) -> Printed | None:
    """How many rows the card says that it was trained on."""
    numbers = (read_number(match[1]) for match in _matches(text, _TRAIN_ROWS))
    return next((rows for rows in numbers if rows and rows.figure.value >= 1), None)


def _matches(text: str, patterns: tuple[re.Pattern[str], ...]) -> Iterator[re.Match[str]]:
    if not _ROWS_NAMED.search(text):
        return iter(())
    return (match for pattern in patterns for match in pattern.finditer(text))
