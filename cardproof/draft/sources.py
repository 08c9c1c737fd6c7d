"""The entries of sources.yaml that a card's base and reviews are, or what to add there."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cardproof.draft.document import shown

IMDB = "stanfordnlp/imdb"
UNKNOWN = "unknown"
BASE_FILES = (
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
)  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """The names of sources.yaml and the repositories that they stand for."""

    reviews: Mapping[str, str]
    bases: Mapping[str, str]


def read_sources(raw: object) -> Sources:
    """The parsed sources.yaml; what is no entry of it is passed over, as validation reports it."""

    def repositories(section: str) -> dict[str, str]:
        entries = raw.get(section) if isinstance(raw, dict) else None
        pairs = entries.items() if isinstance(entries, dict) else ()
        return {
            str(name): str(entry.get("repository", ""))
            for name, entry in pairs
            if isinstance(entry, dict)
        }

    return Sources(repositories("reviews"), repositories("bases"))


def find_entry(name: str, entries: Mapping[str, str]) -> str | None:
    """The entry of a repository, whatever its case.

    The oldest repositories of the hub go without an owner, too: `imdb` is `stanfordnlp/imdb`.
    """
    wanted = name.lower().strip("/").rpartition("huggingface.co/")[2].removeprefix("datasets/")
    for entry, repository in entries.items():
        whole = repository.lower()
        if wanted and wanted in (whole, whole.rpartition("/")[2]):
            return entry
    return None


def entry_name(repository: str) -> str:
    """A name for a new entry: the repository's own, as far as a name may have its characters."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", repository.rpartition("/")[2]).strip("-")[:60] or UNKNOWN


def base_block(name: str, repository: str, pins: Mapping[str, Any] | None) -> str:
    """What to add under `bases:` of sources.yaml.

    Args:
        name: the entry's.
        repository: on the hub.
        pins: `repository`, `revision`, `max_positions` and `files` with checksums, if known.
    """
    known = pins or {
        "revision": "<the commit to pin, 40 hexadecimal digits>",
        "max_positions": "<max_position_embeddings of config.json>",
        "files": dict.fromkeys(BASE_FILES, "<sha256>"),
    }
    lines = [
        f"  {name}:",
        f"    repository: {_scalar(known.get('repository', repository))}",
        f"    revision: {known['revision']}",
        f"    max_positions: {known['max_positions']}",
        "    files:",
        *(f"      {file}: {checksum}" for file, checksum in known["files"].items()),
    ]
    return "\n".join(lines)


def reviews_block(name: str, repository: str) -> str:
    """What to add under `reviews:` of sources.yaml."""
    return "\n".join(
        [
            f"  {name}:",
            f"    repository: {_scalar(repository)}",
            "    revision: <the commit to pin, 40 hexadecimal digits>",
            "    train: {path: <its parquet file of train>, sha256: <its checksum>}",
            "    test: {path: <its parquet file of test>, sha256: <its checksum>}",
        ]
    )


def _scalar(text: str) -> str:
    """A card's word as YAML; in quotes where it is no plain name of a repository."""
    return text if re.fullmatch(r"[A-Za-z][\w./-]*", text) else json.dumps(shown(text, 200))
