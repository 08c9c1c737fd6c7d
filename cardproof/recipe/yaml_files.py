"""Reads a YAML file that may be meant to do harm: quickly, or it says why not.

An alias can make a few lines stand for more values than memory holds, or for themselves; deep
nesting ends a parser. No file of a recipe needs either.
"""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
)

from cardproof.recipe.faults import RecipeError

MOST_BYTES = 1 << 18  # the longest file here has 5 kB
DEEPEST = 20  # the deepest here has 5


def read_yaml(path: Path) -> dict[str, Any]:
    """A file's mapping.

    Raises:
        ValueError: there is none, or it could be meant to do harm; the message says what to do.
    """
    if not path.is_file():
        raise ValueError("the file is missing; run from the repository's root")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{size:,} bytes, more than {MOST_BYTES:,}; restore it from Git")
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_what_grows(text)
        # YAML 1.2, as DVC reads it: 2e-5 is a number, and a key given twice is an error.
        raw = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: bytes, dates, numbers
        reason = " ".join(str(error).split())
        raise ValueError(f"not readable as YAML; fix it: {reason}") from error
    if not isinstance(raw, dict):
        raise ValueError("holds no mapping of keys; restore it from Git")
    return raw


def refuse_hostile(path: Path) -> None:
    """Read a file that DVC is about to read, which takes it for one of its user's own.

    Raises:
        RecipeError: it cannot be read, or could be meant to do harm.
    """
    try:
        read_yaml(path)
    except ValueError as error:
        raise RecipeError([f"{path}: {error}"]) from error


def _refuse_what_grows(text: str) -> None:
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, AliasEvent):
            where = f"line {event.start_mark.line + 1}: *{event.anchor}"
            raise ValueError(f"{where} is an alias; write out what it stands for")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"line {event.start_mark.line + 1}: nested more than {DEEPEST} deep")
