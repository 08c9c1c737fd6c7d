"""Gets pinned files, none of them twice: a file is what its sha256 says, wherever it comes from.

Asked in this order: mirror folders, the cache of the hub's client (HF_HOME and HF_HUB_CACHE are
respected), the hub. What the hub sends goes into that cache, so the next card and the user's
other programs find it there.

The client's `hf_hub_download` (huggingface_hub 2.4) deletes what came when a call fails. So a file
is received here (`cardproof.data.receive`), under the client's lock, into a partial file that the
next call resumes, and is then entered in the cache by the layout that the client documents.

A data folder gets copies: a hard link would let DVC, which makes its files read-only, or an edit in
place reach into the user's cache.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from cardproof.data.receive import (
    RANGE_NOT_SATISFIABLE,
    SourceError,
    check_announced,
    client_with_bounded_pauses,
    receive,
)
from cardproof.files import checksum_lines, checksummed_folder, disk_errors, sha256_of
from cardproof.recipe.environment import MIRROR_VARIABLE


class PinnedFile(NamedTuple):
    """A file of a repository: its path there, its sha256, and its name in the data folder."""

    path: str
    sha256: str
    name: str


class Repository(NamedTuple):
    """What to fetch, from where: the names and commits of a checked recipe.

    `name` is owner/name, as the hub writes it. A repository that is not there has no `revision`.
    """

    kind: Literal["dataset", "model"]
    name: str
    revision: str | None
    files: tuple[PinnedFile, ...]

    def layout(self, file: PinnedFile) -> str:
        """Where a mirror has the file: as in the hub's addresses."""
        prefix = "datasets/" if self.kind == "dataset" else ""
        return f"{prefix}{self.name}/{file.path}"


def fetch(repository: Repository, folder: Path, *, mirrors: Sequence[Path]) -> dict[str, str]:
    """Put the files of a repository into a folder: all, each with its pinned checksum, or none.

    A dead hub is given up after 23 seconds of pauses between six tries, each of at most
    HF_HUB_ETAG_TIMEOUT (10 s); a download after six connections in a row that brought next to
    nothing, each silent for HF_HUB_DOWNLOAD_TIMEOUT (10 s) at most. A hub that asks for a pause
    (by Retry-After or RateLimit) is given it, up to `LONGEST_PAUSE`.

    Args:
        repository: what to fetch.
        folder: where to; files lie flat in it, by `PinnedFile.name`. An older one is replaced.
        mirrors: folders laid out like the hub, asked first, in order.

    Returns:
        Where each file came from, by its name in the folder.

    Raises:
        SourceError: a file has the wrong checksum, or no source has it; `folder` is as it was.
        FilesError: a disk is full or not writable; likewise.
    """
    try:
        with checksummed_folder(folder) as work:
            sources = _from_mirrors(repository, mirrors, work)
            missing = [file for file in repository.files if file not in sources]
            if missing:
                sources |= _from_hub(repository, missing, work, mirrors)
    except OSError as error:  # of this machine, such as a file that may not be read
        raise SourceError(
            f"{repository.name}: {error}. {folder} is as it was; fix the cause and run again."
        ) from error
    return {file.name: sources[file] for file in repository.files}


def find_in_mirror(mirror: Path, name: str) -> Path | None:
    """The file or folder of that name in a mirror, or None; a link out of it is a SourceError."""
    found = mirror / name
    try:
        resolved, inside = found.resolve(), mirror.resolve()
        exists = found.exists()
    except (OSError, RuntimeError) as error:  # a loop of links, a name too long
        raise SourceError(
            f"{found}: cannot be followed: {error}. Put the file itself there, or correct "
            f"{MIRROR_VARIABLE}."
        ) from error
    if not resolved.is_relative_to(inside):
        raise SourceError(
            f"{found}: refused, a link leads out of the mirror, to {resolved}. "
            "Put the file itself there."
        )
    return found if exists else None


def _from_mirrors(
    repository: Repository, mirrors: Sequence[Path], work: Path
) -> dict[PinnedFile, str]:
    """Copy each file from the first mirror that has it; where those found came from.

    Raises:
        SourceError: with every wrong file, and what is missing besides.
    """
    sources: dict[PinnedFile, str] = {}
    missing: list[str] = []
    wrong: list[str] = []
    for file in repository.files:
        places = ((mirror, find_in_mirror(mirror, repository.layout(file))) for mirror in mirrors)
        mirror, found = next((place for place in places if place[1]), (None, None))
        if found is None:
            missing.append(repository.layout(file))
            continue
        shutil.copyfile(found, work / file.name)
        actual = sha256_of(work / file.name)
        if actual != file.sha256:
            wrong.append(
                f"{found}: wrong file in the mirror.\n{checksum_lines(file.sha256, actual)}\n"
                "Replace it by the pinned file, or remove it to have the next source asked."
            )
        sources[file] = f"mirror {mirror}"
    if wrong:
        besides = [f"No mirror has {', '.join(missing)}."] if missing else []
        raise SourceError("\n".join(wrong + besides))
    return sources


def _from_hub(
    repository: Repository, files: Sequence[PinnedFile], work: Path, mirrors: Sequence[Path]
) -> dict[PinnedFile, str]:
    """Get the files that no mirror has from the client's cache or the hub; what each came from."""
    if repository.revision is None:
        said = "the hub was not asked: this repository is not on the hub (it has no revision)"
        raise _no_source(repository, files, mirrors, said)
    import httpx2  # the HTTP client of huggingface_hub 2
    from huggingface_hub import constants, set_client_factory, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    set_client_factory(client_with_bounded_pauses)
    cache = Path(constants.HF_HUB_CACHE)
    said_by_hub = (httpx2.HTTPError, httpx2.InvalidURL, HFValidationError, OSError, UnicodeError)
    sources: dict[PinnedFile, str] = {}
    for index, file in enumerate(files):
        found = try_to_load_from_cache(
            repository.name, file.path, cache, repository.revision, repository.kind
        )
        known = isinstance(found, str)
        sources[file] = "the hub's cache" if known else f"hub {constants.ENDPOINT}"
        try:
            with disk_errors(cache):
                path = Path(str(found)) if known else _download(repository, file, cache)
        except said_by_hub as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of this machine: nothing the hub said
            said = f"{sources[file]}, asked for {file.path}: {_in_words(error)}"
            raise _no_source(repository, files[index:], mirrors, said) from error
        shutil.copyfile(path, work / file.name)
        actual = sha256_of(work / file.name)
        if actual != file.sha256:
            raise _refused_cached(path, file, actual)
    return sources


def _refused_cached(pointer: Path, file: PinnedFile, actual: str) -> SourceError:
    """Remove a damaged file from the client's cache, and nothing else; the error to raise."""
    blob = pointer.parent / pointer.readlink() if pointer.is_symlink() else pointer
    if blob.name == actual:  # by that name the hub announced it: the cache is right
        advice = "The hub announced it with that checksum: correct the pinned one."
    else:
        pointer.unlink(missing_ok=True)
        blob.unlink(missing_ok=True)
        advice = "It was removed from the cache; run again to download it afresh."
    return SourceError(
        f"{pointer}: the hub's cache holds another file than the pinned one.\n"
        f"{checksum_lines(file.sha256, actual)}\n{advice}"
    )


def _download(repository: Repository, file: PinnedFile, cache: Path) -> Path:
    """Download a file into the client's cache, from where an earlier call stopped; its path there.

    Of several processes that want it, one downloads and the others wait.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # public, unmarked

    name, kind = repository.name, repository.kind
    url = hf_hub_url(name, file.path, repo_type=kind, revision=repository.revision)
    # This request is retried on 5xx, 429 and broken connections; the download on 429 and the last.
    announced = get_hf_file_metadata(
        url, timeout=constants.HF_HUB_ETAG_TIMEOUT, retry_on_errors=True
    )
    etag, commit = announced.etag or "", announced.commit_hash or ""
    if commit != repository.revision or not re.fullmatch(r"\w[\w.-]*", etag):
        raise SourceError(
            f"{url}: answered without the pinned X-Repo-Commit or a plain ETag, as no hub does; "
            "check HF_ENDPOINT"
        )
    storage = repo_folder_name(repo_id=name, repo_type=kind)
    lock, blob = cache / ".locks" / storage / f"{etag}.lock", cache / storage / "blobs" / etag
    pointer = cache / storage / "snapshots" / commit / file.path
    for path in (lock, blob, pointer):
        path.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if not blob.exists() and not pointer.exists():
            part = blob.with_name(f"{etag}.incomplete")  # `hf cache prune` knows that name
            _complete(part, url, file, announced.size)
            part.replace(blob)
        if not pointer.exists():
            pointer.unlink(missing_ok=True)  # it led to a blob that is gone
            try:
                pointer.symlink_to(os.path.relpath(blob, pointer.parent))
            except OSError:  # no links here: the file itself, as the client does it
                blob.replace(pointer)
    return pointer


def _complete(part: Path, url: str, file: PinnedFile, size: int | None) -> None:
    """Append to a partial file what it lacks, and check it; a wrong one is removed."""
    if part.exists() and sha256_of(part) == file.sha256:
        return
    size = check_announced(url, size, shutil.disk_usage(part.parent).free)
    receive(url, part, size, file.name)
    actual, received = sha256_of(part), part.stat().st_size
    if actual != file.sha256:
        part.unlink()
        raise SourceError(
            f"{url}: the hub sent another file than the pinned one, {received:,} bytes of {size:,} "
            f"announced.\n{checksum_lines(file.sha256, actual)}\n"
            "It was removed; run again to download it afresh. If that does not help, compare the "
            "pinned checksum with the one that the hub shows for the file."
        )


def _in_words(error: Exception) -> str:
    """What the hub said, and what to do about it."""
    status: int = getattr(getattr(error, "response", None), "status_code", 0)
    kinds = [kind.__name__ for kind in type(error).__mro__]
    words = next((_WORDS[kind] for kind in kinds if kind in _WORDS), "{error}")
    by_status = _STATUS_WORDS.get(status, "failed; try again later")
    return words.format(error=error, status=f"HTTP {status}", by_status=by_status)


# By the class of an error of the client or of its HTTP library, or else that of its next base.
_WORDS = {
    "OfflineModeIsEnabled": "not asked, HF_HUB_OFFLINE is set; unset it",
    "GatedRepoError": "{status}, the repository is gated; accept its terms and log in with a token "
    "that may read it (HF_TOKEN)",
    "RepositoryNotFoundError": "{status}, no such repository, or log in with a token that may read "
    "it (HF_TOKEN)",
    "RevisionNotFoundError": "{status}, no such revision; check the pinned one",
    "RemoteEntryNotFoundError": "{status}, no such file at the revision; check the path",
    "HfHubHTTPError": "{status}, {by_status}",
    "TimeoutException": "no answer in time (HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT set "
    "the seconds)",
    "ConnectError": "cannot be reached ({error}); check the network and HF_ENDPOINT",
    "UnicodeError": "not asked, the token holds what is not plain ASCII; log in again, or correct "
    "HF_TOKEN",
    "LocalProtocolError": "not asked, the token holds what no header may; log in again, or correct "
    "HF_TOKEN",  # the error itself shows it
    "TooManyRedirects": "redirects without end ({error}); check HF_ENDPOINT",
    "TransportError": "the connection broke ({error}); what came is kept, run again to resume",
}
_STATUS_WORDS = {
    401: "refused; log in with a valid token (HF_TOKEN)",
    403: "refused; log in with a token that may read it (HF_TOKEN)",
    404: "not found; check HF_ENDPOINT, the repository and the path",
    RANGE_NOT_SATISFIABLE: "nothing to resume from what came before, which was removed; run again "
    "to download it afresh",
    429: "too many requests; try again later",
}


def _no_source(
    repository: Repository, missing: Sequence[PinnedFile], mirrors: Sequence[Path], said: str
) -> SourceError:
    """The error that says what each source said, and where to put which files."""
    lines = [f"{repository.name}: no source for {len(missing)} of {len(repository.files)} files:"]
    for mirror in mirrors:
        lines += [f"  mirror {mirror}: {'lacks them' if mirror.is_dir() else 'no such folder'}"]
    name_one = "" if mirrors else f"set {MIRROR_VARIABLE} to a folder of yours and "
    lines += [f"  {said}", f"If the hub cannot help, {name_one}put these files there by hand:"]
    for file in missing:
        place = Path(*mirrors[:1], repository.layout(file))
        lines += [f"  {place}", f"    sha256 {file.sha256}"]
    return SourceError("\n".join(lines))
