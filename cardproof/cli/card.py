"""A model card named on the command line: a file, standard input, or a repository of the hub."""

import os
import re
import sys
from pathlib import Path

from cardproof.audit.reading import LARGEST
from cardproof.draft.sources import download, is_hub_id
from cardproof.errors import CardproofError

_MOST = 4 * LARGEST + 1  # bytes that are ever looked at, and one more: a character has at most four
_ID = r"([\w.-]+/[\w.-]+)"


def read_named(card: str) -> tuple[bytes, str | None]:
    """The bytes of a card, as many as are ever looked at, and its repository if it is the hub's.

    Args:
        card: a path, `-` for standard input, `owner/name`, or the address of a model's page.

    Raises:
        CardproofError: it is none of them, no text, or the hub does not have it or cannot be
            reached.
        OSError: the file cannot be read.
    """
    if card == "-":
        return _text(sys.stdin.buffer.read(_MOST), "standard input"), None
    if Path(card).is_file():
        with Path(card).open("rb") as stream:
            return _text(stream.read(_MOST), card), None
    if Path(card).is_dir():
        raise CardproofError(f"{card}: no such file, it is a folder; name the model card in it")
    repository = _repository_of(card)
    if repository:
        return download(repository, "README.md").read_bytes()[:_MOST], repository
    raise CardproofError(f"{card}: no such file; name a model card, or owner/name on the hub")


def _text(data: bytes, name: str) -> bytes:
    """The bytes of a text; archives and the like hold NUL bytes, which no text has."""
    if b"\0" in data:
        raise CardproofError(f"{name} is no text file; name a model card")
    return data


def _repository_of(card: str) -> str | None:
    """The repository that an id or the address of a page of the hub names; None if it is none."""
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    hosts = "|".join(map(re.escape, {hub, "https://huggingface.co", "https://hf.co"}))
    page = re.match(rf"(?:{hosts})/{_ID}(?:/|$)", card)
    if page and not card.startswith((f"{hub}/datasets/", f"{hub}/spaces/")):
        return page[1]
    return card if is_hub_id(card) else None
