"""Gets pinned files: a file is what its sha256 says it is, wherever it comes from.

Sources are asked in this order: mirror folders, what the hub's client has in its cache, the hub.

The client's own `hf_hub_download` (huggingface_hub 2.4) goes on after a break only inside one
call: when the call fails it deletes what it has received, over plain HTTP and over xet alike. So
this module calls the function below it, `http_get`, with a partial file that is kept in
`HF_HOME/cardproof` until every file of the repository is there. Bytes that broke off, or that
came whole before another file failed, are then not fetched twice.
"""

import hashlib
import io
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cardproof.errors import CardproofError
from cardproof.files import checksummed_folder, disk_errors, sha256_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

MIRROR_VARIABLE = "CARDPROOF_MIRROR"
RANGE_NOT_SATISFIABLE = 416
_BLOCK = 1 << 20
_RUNS_CODE = frozenset(
    (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".msgpack")
)


class SourceError(CardproofError):
    """A pinned file that cannot be had, or is not what was pinned."""


@dataclass(frozen=True)
class PinnedFile:
    """A file of a repository, known by its sum.

    Args:
        path: where it is in the repository, with forward slashes.
        sha256: what it must be.
        target: its name in the folder it is fetched to; None keeps its own.

    Raises:
        SourceError: a name is not safe, its format can run code, or the sum is no sha256.
    """

    path: str
    sha256: str
    target: str | None = None

    def __post_init__(self) -> None:
        _check_name(self.path, "path")
        if self.target is not None:
            _check_name(self.target, "target")
            if "/" in self.target:
                raise SourceError(f"target {self.target!r}: must be a name without folders")
        for name in (self.path, self.name):
            if Path(name).suffix.lower() in _RUNS_CODE:
                raise SourceError(
                    f"{name}: refused, loading this format can run code (pickle can run code). "
                    "Pin the .safetensors file of the repository instead."
                )
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise SourceError(f"{self.path}: sha256 {self.sha256!r} is not 64 digits of 0-9a-f")

    @property
    def name(self) -> str:
        """Its file name in the folder it is fetched to."""
        return self.target or self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Repository:
    """What to fetch, from where.

    Args:
        kind: dataset or model.
        name: owner/name, as the hub writes it.
        revision: the commit at the hub; None if the repository is not on the hub.
        files: what to fetch.

    Raises:
        SourceError: the name is not safe, the revision is no commit, or two files would get the
            same name.
    """

    kind: Literal["dataset", "model"]
    name: str
    revision: str | None
    files: tuple[PinnedFile, ...]

    def __post_init__(self) -> None:
        _check_name(self.name, "repository")
        if self.revision is not None and not re.fullmatch("[0-9a-f]{40}", self.revision):
            raise SourceError(
                f"{self.name}: revision {self.revision!r} must be a commit, 40 digits of 0-9a-f: "
                "a branch or a tag can move"
            )
        taken: dict[str, PinnedFile] = {}
        for file in self.files:
            other = taken.setdefault(file.name.casefold(), file)  # macOS holds A and a to be one
            if other is not file:
                raise SourceError(
                    f"{self.name}: {other.path} and {file.path} would both become {file.name}; "
                    "give one of them another target"
                )

    def layout(self, file: PinnedFile) -> str:
        """Where a mirror has the file: as in the hub's addresses."""
        prefix = "datasets/" if self.kind == "dataset" else ""
        return f"{prefix}{self.name}/{file.path}"


@dataclass(frozen=True)
class Fetched:
    """A file in place: where it is, where it came from, how many bytes it has."""

    path: Path
    source: str
    size: int


def fetch(
    repository: Repository, folder: Path, *, mirrors: Sequence[Path], offline: bool = False
) -> list[Fetched]:
    """Put the files of a repository into a folder: all of them, each with its pinned sum, or none.

    A folder that is there already is replaced. A dead hub is given up after 23 seconds of pauses
    between six tries, each of at most HF_HUB_ETAG_TIMEOUT (10 s); a silent download after six
    times HF_HUB_DOWNLOAD_TIMEOUT (10 s) without a byte. A hub that asks for a pause (429 with
    Retry-After) is given it.

    Args:
        repository: what to fetch.
        folder: where to; files lie flat in it, by `PinnedFile.name`.
        mirrors: folders laid out like the hub, asked first, in order.
        offline: do not ask the hub; its client's cache is still used.

    Returns:
        The files in the repository's order.

    Raises:
        SourceError: a file has the wrong sum, or no source has it; `folder` is as it was.
    """
    try:
        with checksummed_folder(folder) as work:
            sources = _from_all_mirrors(repository, mirrors, work)
            missing = [file for file, source in sources.items() if source is None]
            if missing:
                sources |= _from_hub(repository, missing, work, mirrors, offline)
            sizes = {file: (work / file.name).stat().st_size for file in sources}
    except OSError as error:  # of this machine: a full disk, a file that may not be read
        raise SourceError(
            f"{repository.name}: {error}. {folder} is as it was; mend the cause and run again."
        ) from error
    return [
        Fetched(folder / file.name, source or "", sizes[file]) for file, source in sources.items()
    ]


def _check_name(name: str, what: str) -> None:
    """Refuse a name that could lead out of the folder that it is put in."""
    parts = name.split("/")
    if "\\" in name or not name.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise SourceError(
            f"{what} {name!r}: must be a plain relative name: parts joined by /, none of them "
            "empty, . or .., no backslash"
        )


def _from_all_mirrors(
    repository: Repository, mirrors: Sequence[Path], work: Path
) -> dict[PinnedFile, str | None]:
    """Copy what the mirrors have: what each file came from, None for one that no mirror has.

    Raises:
        SourceError: with every wrong file, and what is missing besides.
    """
    sources: dict[PinnedFile, str | None] = {}
    wrong = []
    for file in repository.files:
        try:
            sources[file] = _from_mirrors(repository, file, mirrors, work)
        except SourceError as error:
            wrong.append(str(error))
    if wrong:
        missing = [repository.layout(file) for file, source in sources.items() if source is None]
        besides = [f"No mirror has {', '.join(missing)}."] if missing else []
        raise SourceError("\n".join(wrong + besides))
    return sources


def _from_mirrors(
    repository: Repository, file: PinnedFile, mirrors: Sequence[Path], work: Path
) -> str | None:
    """Copy the file from the first mirror that has it; the mirror's description, or None."""
    for mirror in mirrors:
        found = mirror / repository.layout(file)
        if not found.resolve().is_relative_to(mirror.resolve()):
            raise SourceError(
                f"{found}: refused, a link leads out of the mirror, to {found.resolve()}. "
                "Put the file itself there."
            )
        if not found.is_file():
            continue
        actual = _copy(found, work / file.name)
        if actual != file.sha256:
            raise SourceError(
                f"{found}: wrong file in the mirror.\n"
                f"  expected sha256 {file.sha256}\n  found sha256    {actual}\n"
                "Replace it by the pinned file, or remove it to have the next source asked."
            )
        return f"mirror {mirror}"
    return None


def _copy(source: Path, target: Path) -> str:
    """Copy and hash in one reading; the sum of what was written."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(_BLOCK):
            digest.update(block)
            writer.write(block)
    return digest.hexdigest()


def _from_hub(
    repository: Repository,
    files: Sequence[PinnedFile],
    work: Path,
    mirrors: Sequence[Path],
    offline: bool,
) -> dict[PinnedFile, str | None]:
    """Get the files that no mirror has; what each came from."""
    if repository.revision is None:
        said = "the hub was not asked: this repository is not on the hub (it has no revision)"
        raise _no_source(repository, files, mirrors, said)
    sources: dict[PinnedFile, str | None] = {
        file: "the hub's cache" for file in files if _from_cache(repository, file, work)
    }
    missing = [file for file in files if file not in sources]
    if not missing:
        return sources
    if offline:
        raise _no_source(repository, missing, mirrors, "the hub was not asked: offline")
    from huggingface_hub import constants

    with disk_errors(Path(constants.HF_HOME)):
        _download_all(repository, missing, work, mirrors)
    return sources | {file: f"hub {constants.ENDPOINT}" for file in missing}


def _from_cache(repository: Repository, file: PinnedFile, work: Path) -> bool:
    """Copy the file from the cache of the hub's client, if it is there and is the right one."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(
        repository.name, file.path, revision=repository.revision, repo_type=repository.kind
    )
    # A wrong file is left alone: other projects share the cache, and it is the pin that may be
    # wrong. It is not used.
    return isinstance(cached, str) and _copy(Path(cached), work / file.name) == file.sha256


def _download_all(
    repository: Repository, files: Sequence[PinnedFile], work: Path, mirrors: Sequence[Path]
) -> None:
    """Download the files to the partial store, and when all are there, move them to `work`."""
    import httpx2  # the HTTP client of huggingface_hub 2
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # public, unmarked

    name = f"{repository.kind}--{repository.name.replace('/', '--')}"
    store = Path(constants.HF_HOME) / "cardproof" / name
    store.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(store.with_name(f"{name}.lock")):
        store.mkdir(exist_ok=True)  # under the lock: another process removes it when it is done
        for index, file in enumerate(files):
            try:
                _download(repository, file, store)
            except (httpx2.HTTPError, httpx2.InvalidURL, HFValidationError, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # of this machine, such as a full disk: nothing the hub said
                said = f"hub {constants.ENDPOINT}, asked for {file.path}: {_in_words(error)}"
                raise _no_source(repository, files[index:], mirrors, said) from error
        for file in files:
            shutil.move(_part(store, file), work / file.name)
        with suppress(OSError):
            store.rmdir()  # stays if it holds parts of files that are no longer pinned


def _part(store: Path, file: PinnedFile) -> Path:
    return store / f"{file.sha256[:16]}-{file.name}.incomplete"


def _download(repository: Repository, file: PinnedFile, store: Path) -> None:
    """Complete the part of a file, from where an earlier call broke off."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    part = _part(store, file)
    if part.exists() and sha256_of(part) == file.sha256:
        return
    url = hf_hub_url(
        repository.name, file.path, repo_type=repository.kind, revision=repository.revision
    )
    # This request is retried on 5xx, 429 and broken connections; http_get on 429 and the last.
    size = get_hf_file_metadata(
        url, timeout=constants.HF_HUB_ETAG_TIMEOUT, retry_on_errors=True
    ).size
    with suppress(_TooLongError), _BoundedFile(part, size) as stream:
        if size is None or stream.tell() >= size:
            stream.truncate(0)  # as long as the file and not the file: no use going on
        _receive(url, stream, size, file.name)
    actual, received = sha256_of(part), part.stat().st_size
    if actual != file.sha256:
        part.unlink()
        announced = "" if size in (None, received) else f", having announced {size:,}"
        raise SourceError(
            f"{url}: the hub sent another file than the pinned one, {received:,} bytes{announced}."
            f"\n  expected sha256 {file.sha256}\n  found sha256    {actual}\n"
            "It was removed; run again to download it afresh. If that does not help, compare the "
            "pinned sum with the one that the hub shows for the file."
        )


def _receive(url: str, stream: "_BoundedFile", size: int | None, name: str) -> None:
    """Append what the file at the hub has more than the stream."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # likewise

    try:
        http_get(
            url,
            stream,
            resume_size=stream.seek(0, 2),
            # Compressed, offsets into the file and into what is sent would not be the same.
            headers=build_hf_headers() | {"Accept-Encoding": "identity"},
            expected_size=size,
            displayed_filename=name,
        )
    except HfHubHTTPError as error:
        if error.response.status_code == RANGE_NOT_SATISFIABLE:
            stream.truncate(0)
        raise
    except OSError as error:
        # Of type OSError itself and without a number: another length than announced. The sum
        # of what came tells more.
        if type(error) is not OSError or error.errno is not None:
            raise


class _TooLongError(Exception):
    """More bytes came than were announced."""


class _BoundedFile(io.BufferedWriter):
    """A file to append to that takes no more bytes than it may have: a hub could send on for ever.

    Args:
        path: the file.
        limit: its bytes at most; None is no limit.
    """

    def __init__(self, path: Path, limit: int | None) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self._limit = limit

    def write(self, data: "Buffer") -> int:
        """As a file's write."""
        if self._limit is not None and self.tell() + memoryview(data).nbytes > self._limit:
            raise _TooLongError
        return super().write(data)


def _in_words(error: Exception) -> str:
    """What the hub said, and what to do about it."""
    import httpx2
    from huggingface_hub import errors

    token = "log in with a token that may read it (HF_TOKEN)"
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
    code = f"HTTP {status}"
    words: dict[type[Exception], str] = {  # the first that fits
        errors.OfflineModeIsEnabled: "not asked, HF_HUB_OFFLINE is set; unset it",
        errors.GatedRepoError: f"{code}, the repository is gated; accept its terms and {token}",
        errors.RepositoryNotFoundError: f"{code}, no such repository, or {token}",
        errors.RevisionNotFoundError: f"{code}, no such revision; check the pinned one",
        errors.RemoteEntryNotFoundError: f"{code}, no such file at the revision; check the path",
        errors.HfHubHTTPError: f"{code}, {_STATUS_WORDS.get(status, 'failed; try again later')}",
        httpx2.TimeoutException: "no answer in time (HF_HUB_ETAG_TIMEOUT and "
        "HF_HUB_DOWNLOAD_TIMEOUT set the seconds)",
        httpx2.ConnectError: f"cannot be reached ({error}); check the network and HF_ENDPOINT",
        httpx2.TooManyRedirects: f"sent from one address to the next without end ({error}); check "
        "HF_ENDPOINT",
        httpx2.TransportError: f"the connection broke ({error}); what came is kept, run again to "
        "go on from there",
    }
    return next((text for kind, text in words.items() if isinstance(error, kind)), str(error))


_STATUS_WORDS = {
    401: "refused; log in with a valid token (HF_TOKEN)",
    403: "refused; log in with a token that may read it (HF_TOKEN)",
    404: "not found; check HF_ENDPOINT, the repository and the path",
    RANGE_NOT_SATISFIABLE: "nothing to go on with after what came before, which was removed; run "
    "again to download it afresh",
    429: "too many requests; try again later",
}


def _no_source(
    repository: Repository, missing: Sequence[PinnedFile], mirrors: Sequence[Path], said: str
) -> SourceError:
    """The error that says what each source said, and where to put which files."""
    lines = [f"{repository.name}: no source for {len(missing)} of {len(repository.files)} files:"]
    for mirror in mirrors:
        lines.append(
            f"  mirror {mirror}: {'has none of them' if mirror.is_dir() else 'no such folder'}"
        )
    lines.append(f"  {said}")
    if mirrors:
        lines.append("If the hub cannot help, put these files there by hand:")
    else:
        lines.append(
            f"If the hub cannot help, set {MIRROR_VARIABLE} to a folder of yours and put these "
            "files there by hand:"
        )
    for file in missing:
        place = repository.layout(file)
        lines += [f"  {mirrors[0] / place if mirrors else place}", f"    sha256 {file.sha256}"]
    return SourceError("\n".join(lines))
