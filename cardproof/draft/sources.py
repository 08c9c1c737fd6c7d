"""What a card is of: its name, its base and its reviews, as entries of sources.yaml."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from cardproof.draft.document import Document, Value, shown
from cardproof.errors import CardproofError
from cardproof.files import sha256_of
from cardproof.recipe.environment import check_environment
from cardproof.recipe.faults import RecipeError, validate
from cardproof.recipe.load import SOURCES
from cardproof.recipe.schema import Base, Reviews, SourcesFile

UNKNOWN = "unknown"
_IMDB = "stanfordnlp/imdb"
_BASE_FILES = (
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
)  # fmt: skip
_ID = r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}"
_DOCUMENTS = (".md", ".markdown", ".txt", ".yaml", ".yml", ".html")
_TREE = re.compile(rf"\bModel tree for ({_ID})")
_USED = re.compile(
    rf"(?:from_pretrained|pipeline|model(?:_id|_name|_path)?)\W{{0,4}}(?:[^\n\"']{{0,60}}"
    rf"\bmodel\s?)?=?\s?[\"']({_ID})[\"']"
)
_INDEX_NAME = re.compile(
    r"\bmodel-index:\s{1,20}-\s{1,20}name: {1,3}([\w./ -]{1,100}?)(?=\s*\n|\s+results:)"
)
_HEADING = re.compile(r"^# {1,5}([^\n#]{1,200})", re.M)
_PAIR = re.compile(r"\b0\W{1,4}(neg\w{0,10})\b.{1,30}?\b1\W{1,4}(pos\w{0,10})\b", re.I)
_EXAMPLE = re.compile(r"['\"]label['\"]: ?['\"](\w{1,30})['\"]")


def read_sources(raw: object) -> SourcesFile:
    """The parsed sources.yaml, checked.

    Raises:
        RecipeError: it has faults.
    """
    sources, faults = validate(SourcesFile, raw, SOURCES)
    if sources is None:
        raise RecipeError(faults)
    return sources


def find_entry(name: str, entries: Mapping[str, Base] | Mapping[str, Reviews]) -> str | None:
    """The entry of a repository, whatever its case.

    The oldest repositories of the hub go without an owner, too: `imdb` is `stanfordnlp/imdb`.
    """
    wanted = name.lower().strip("/").rpartition("huggingface.co/")[2].removeprefix("datasets/")
    for entry, source in entries.items():
        whole = source.repository.lower()
        if wanted and wanted in (whole, whole.rpartition("/")[2]):
            return entry
    return None


def entry_name(repository: str, taken: Mapping[str, Any]) -> str:
    """A name for a new entry or file: the repository's own, with its owner if that is taken."""
    names = (
        re.sub(r"[^A-Za-z0-9_-]+", "-", part).strip("-")[:60]
        for part in (repository.rpartition("/")[2], repository)
    )
    return next((name for name in names if name and name not in taken), UNKNOWN)


def read_identity(
    document: Document, sources: SourcesFile, published_as: str | None
) -> Iterator[Value | str]:
    """What stands at the head of a card's file; `published_as` if that is known already."""
    facts = document.facts
    published = published_as or _published_as(document)
    yield Value("title", published.rpartition("/")[2])
    yield Value("published_as", published)
    yield from _reviews(document, sources.reviews)
    if facts.base:
        entry = find_entry(facts.base, sources.bases)
        yield Value("base", entry or entry_name(facts.base, sources.bases))
    else:
        yield Value("base", UNKNOWN)
        yield "it names no base: write the name of an entry of sources.yaml at `base:`"
    yield from _labels(document.text)
    yield Value("license", shown((facts.licence or "").lower()))


def _published_as(document: Document) -> str:
    """The card's own repository: of the hub's page, of its examples, or its name without owner."""
    tree = _TREE.search(document.text)
    if tree:
        return tree[1]
    base = document.facts.base
    for match in islice(_USED.finditer(document.text), 20):
        if base not in (match[1], match[1].rpartition("/")[2]):
            return match[1]
    name = _INDEX_NAME.search(document.text) or _HEADING.search(document.prose)
    return (shown(name[1]) if name else "") or UNKNOWN


def _reviews(document: Document, entries: Mapping[str, Reviews]) -> Iterator[Value | str]:
    """The entry of its data, or a name for a new one; and a doubt about it."""
    named, task = document.facts.dataset, document.facts.task
    entry = find_entry(named, entries) if named else None
    imdb = find_entry(_IMDB, entries) if task.imdb and not entry else None
    if imdb:
        said = f'its data is "{shown(named)}"' if named else "it names no data set"
        yield f"{said}: taken for {_IMDB} ({task.reason})"
    elif not named:
        yield "it names no data set: write the name of an entry of sources.yaml at `reviews:`"
    new = entry_name(named, entries) if named else UNKNOWN
    yield Value("reviews", entry or imdb or new)


def _labels(text: str) -> Iterator[Value]:
    """The names of class 0 and class 1, from a passage that pairs them or from an example."""
    pair = _PAIR.search(text)
    names = sorted(pair.groups() if pair else set(_EXAMPLE.findall(text)), key=str.lower)
    if [name[:3].lower() for name in names] == ["neg", "pos"]:
        yield Value("labels", names)


def is_hub_id(text: str) -> bool:
    """Whether a text can be a repository, `owner/name`, and not the path of a document."""
    return bool(re.fullmatch(_ID, text)) and not text.lower().endswith(_DOCUMENTS)


def download(repository: str, file: str, revision: str | None = None) -> Path:
    """A file of a model, through the hub's client and its cache.

    Raises:
        CardproofError: there is none, or the hub cannot be reached.
    """
    check_environment(os.environ, stages=False)  # before the client reads it
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub import try_to_load_from_cache as find_cached

    with _hub_errors(repository):
        try:  # once: hf_hub_download asks a hub that is out of reach for 23 seconds, and logs that
            url = hf_hub_url(repository, file, revision=revision)
            get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        except Exception:
            if isinstance(found := find_cached(repository, file, revision=revision), str):
                return Path(found)
            raise
        return Path(hf_hub_download(repository, file, revision=revision))


def pin_base(repository: str) -> dict[str, Any]:
    """What an entry of sources.yaml says of a base: revision, positions and checksums.

    Of files in large file storage the hub knows the sha256; the others are small and are fetched.

    Raises:
        CardproofError: there is no such repository, or the hub cannot be reached.
    """
    check_environment(os.environ, stages=False)  # before the client reads it
    from huggingface_hub import HfApi

    with _hub_errors(repository):
        info = HfApi().model_info(repository, files_metadata=True)
    there = {file.rfilename: file.lfs for file in info.siblings or []}
    if "model.safetensors" not in there:
        raise CardproofError(f"{repository}: it has no model.safetensors, the one format loaded")
    config = json.loads(download(repository, "config.json", info.sha).read_bytes())
    return {
        "repository": info.id,  # with its owner, which the oldest names go without
        "revision": info.sha,
        "max_positions": config.get("max_position_embeddings") or config.get("n_positions"),
        "files": {
            name: large.sha256 if large else sha256_of(download(repository, name, info.sha))
            for name, large in there.items()
            if name in _BASE_FILES
        },
    }


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Say what failed, whatever the client, HTTP and the network raise: too many to list."""
    import httpx2  # the HTTP client of huggingface_hub 2

    try:
        yield
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).partition("\n")[0]
        if isinstance(error, httpx2.TransportError):
            said = f"the hub cannot be reached ({said}); name a file instead"
        raise CardproofError(f"{repository}: {said}") from error
