"""What the hub has to say about a card: its text, and the checksums of its base."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cardproof.draft.sources import BASE_FILES
from cardproof.errors import CardproofError

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_DOCUMENT = re.compile(r"\.(?:md|markdown|txt|ya?ml|html?)$", re.I)


class HubError(CardproofError):
    """The hub has no such card, or cannot be reached."""


def is_hub_id(text: str) -> bool:
    """Whether a text can be a repository, `owner/name`, and not the path of a document."""
    return bool(_ID.fullmatch(text)) and not _DOCUMENT.search(text)


def read_card_file(repository: str) -> bytes:
    """The README.md of a model, through the hub's client and its cache.

    Raises:
        HubError: there is none, or the hub cannot be reached.
    """
    return Path(_download(repository, "README.md", None)).read_bytes()


def pin_base(repository: str) -> dict[str, Any]:
    """What an entry of sources.yaml says of a base: revision, positions and checksums.

    Of files in large file storage the hub knows the sha256; the others are small and are fetched.

    Raises:
        HubError: there is no such repository, it lacks a file, or the hub cannot be reached.
    """
    from huggingface_hub import HfApi

    with _explained(repository):
        info = HfApi().model_info(repository, files_metadata=True)
    there = {file.rfilename: file.lfs for file in info.siblings or []}
    wanted = [name for name in BASE_FILES if name in there]
    if "model.safetensors" not in wanted:
        raise HubError(f"{repository}: it has no model.safetensors, the one format that is loaded")
    files = {}
    for name in wanted:
        large = there[name]
        files[name] = large.sha256 if large else _sha256(_download(repository, name, info.sha))
    config = json.loads(Path(_download(repository, "config.json", info.sha)).read_bytes())
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    return {
        "repository": info.id,  # with its owner, which the oldest names go without
        "revision": info.sha,
        "max_positions": positions,
        "files": files,
    }


def _download(repository: str, file: str, revision: str | None) -> str:
    from huggingface_hub import hf_hub_download

    with _explained(repository):
        return hf_hub_download(repository, file, revision=revision)


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    """Say what failed, whatever the client raises for it."""
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

    try:
        yield
    except RepositoryNotFoundError as error:
        raise HubError(f"{repository}: the hub has no such model, or it is private") from error
    except EntryNotFoundError as error:  # also where it is not in the cache and offline
        raise HubError(f"{repository}: {_first_line(error)}") from error
    except Exception as error:  # of the client, of HTTP and of the network: too many to list
        raise HubError(f"{repository}: the hub cannot be reached: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


def _sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
