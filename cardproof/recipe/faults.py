"""Faults of the recipe's files: each with its file, its key, its value and what to do."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cardproof.errors import CardproofError
from cardproof.recipe.schema import Section

OVERRIDES = ("data", "model", "split", "tokenize", "train", "evaluate")  # sections of params.yaml


class RecipeError(CardproofError):
    """Faults of params.yaml, cards/ or sources.yaml, all of them, each one line.

    What is not printable in a fault is escaped. `advice` is a last line of the message.
    """

    def __init__(self, faults: Sequence[str], advice: str = "") -> None:
        self.faults = [
            "".join(c if c.isprintable() else ascii(c)[1:-1] for c in fault) for fault in faults
        ]
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        lines = [f"{count} in the recipe. Nothing was run.", *self.faults]
        super().__init__("\n  ".join(lines) + (f"\n{advice}" if advice else ""))


M = TypeVar("M", bound=Section)


def validate(
    model: type[M], raw: object, path: Path, prefix: str = ""
) -> tuple[M | None, list[str]]:
    """The object that `raw` describes, or every fault of it.

    Args:
        model: what it should be.
        raw: as parsed.
        path: of the file, to be named.
        prefix: of the keys, where `raw` is a part of the file.
    """
    try:
        return model.model_validate(raw), []
    except ValidationError as error:
        faults: dict[str, str] = {}
        for e in error.errors():
            key, advice = _fault(model, dict(e), prefix)
            # A union reports one error a branch, all of the same key.
            faults[key] = f"{faults[key]}, or {advice}" if key in faults else advice
        return None, [_line(path, key, advice) for key, advice in faults.items()]


def _line(path: Path, key: str, advice: str) -> str:
    return f"{path}: {key}: {advice}" if key else f"{path}: {advice}"


# pydantic's error type: what to do about it. Types not listed here speak for themselves.
_REMEDIES = {
    "missing": "missing; add it",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping of keys",
    "invalid_key": "must be text; put this key in quotes",
    "greater_than": "must be greater than {gt:,.12g}",
    "greater_than_equal": "must be at least {ge:,.12g}",
    "less_than": "must be less than {lt:,.12g}",
    "less_than_equal": "must be at most {le:,.12g}",
    "too_short": "must have {min_length} items or more",
    "too_long": "must have {max_length} items or fewer",
    "string_too_short": "must not be empty",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "must be a sha256: 64 hexadecimal digits",
    "value_error": "{error}",
}


def _fault(model: type[BaseModel], error: dict[str, Any], prefix: str) -> tuple[str, str]:
    """The key that a pydantic error is about, and what to do about it."""
    # A union's branches are named in the location ('int', "literal['all']"): not keys of the file.
    unknown = [str(error["loc"][-1])] if error["type"] == "extra_forbidden" else []
    path = [str(p) for p in error["loc"]][: -1 if unknown else None]
    parts = [p for p in path if "[" not in p and p not in ("int", "float")] + unknown
    key = ".".join([*([prefix] if prefix else []), *parts])
    if unknown:
        return key, f"no such key{suggestion(parts[-1], _known_keys(model, parts[:-1]))}"
    advice = _REMEDIES.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
    if error["type"] in ("missing", "value_error", "invalid_key"):
        return key, advice
    if error["type"] == "string_type" and _is_number(error["input"]):
        printed = ", as the card prints it" if parts[0] == "claims" else ""
        return key, f'{error["input"]} must be in quotes{printed}: "{error["input"]}"'
    overrides = "card" in model.model_fields  # only params.yaml has that key
    null = ", or null for the card's own value" if overrides and parts[0] in OVERRIDES else ""
    return key, f"{_shown(error['input'])} {advice}{null}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _shown(value: object) -> str:
    """A faulty value in a line: the beginning of it, if it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no longer ones
        return "a number of more than 4,300 digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """The field names of the model found by following `path` down from `model`."""
    for part in path:
        if part not in model.model_fields:
            continue  # a name in a mapping, such as a base's
        inner: Any = model.model_fields[part].annotation
        arguments = getattr(inner, "__args__", ())
        candidates = [inner, *arguments]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if models:
            model = models[0]
    return list(model.model_fields)


def suggestion(name: object, known: Sequence[str]) -> str:
    """What may have been meant by `name`: the nearest known one, or all of them."""
    close = difflib.get_close_matches(str(name), known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}"
