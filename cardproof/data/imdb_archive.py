"""The IMDb reviews from their original archive: another source of the hub's rows.

aclImdb_v1.tar.gz, or the folder aclImdb that it unpacks to, holds a file for each review, such as
`aclImdb/train/neg/0_3.txt`: running id 0, three stars. Nothing of it is unpacked: the archive is
read once, from front to back, and each member is looked at before it is read. What decides is the
sum over the rows (`cardproof.data.rows`): an archive that was packed again gives the same reviews.
"""

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cardproof.data.rows import Row, Written, write_rows
from cardproof.errors import CardproofError

FILE = "aclImdb_v1.tar.gz"
FOLDER = "aclImdb"
ORIGIN = "https://ai.stanford.edu/~amaas/data/sentiment/"
LABELS = {"neg": 0, "pos": 1}
SPLITS = ("train", "test")
HUB_BLOCK = 128  # running ids: the hub's rows come in blocks of them, each block backwards

# The real archive: 100,030 members, reviews of up to 14 kB, other files of up to 41 MB.
MAX_MEMBERS = 150_000
MAX_REVIEW = 1 << 20
MAX_OTHER = 128 << 20
MAX_HEADERS = 1 << 20  # bytes between the end of a member and the start of the next
MAX_TOTAL = 2 << 30

_REVIEW_NAME = re.compile(r"([0-9]{1,6})_([0-9]{1,2})\.txt")
_BROKEN = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
_Key = tuple[str, int]  # split, label
_Place = tuple[int, int]  # offset and bytes in the spool


class ArchiveError(CardproofError):
    """An archive that is unsafe or broken, or holds other reviews than the pinned ones."""


@dataclass(frozen=True)
class Pins:
    """What the archive is known by: its md5 as published, and the sums over its rows."""

    md5: str
    train: str
    test: str


def find_archive(mirror: Path) -> Path | None:
    """The archive in a mirror folder, or the folder that it unpacks to, or None.

    Raises:
        ArchiveError: it is a link that leads out of the mirror.
    """
    for found in (mirror / FILE, mirror / FOLDER):
        if not (found.is_file() or found.is_dir()):
            continue
        if not found.resolve().is_relative_to(mirror.resolve()):
            raise ArchiveError(
                f"{found}: refused, a link leads out of the mirror, to {found.resolve()}. "
                "Put the archive itself there."
            )
        return found
    return None


def import_archive(source: Path, folder: Path, pins: Pins) -> tuple[str, dict[str, Written]]:
    """Write train.parquet and test.parquet with the archive's reviews in the hub's order.

    Disk is used for the texts meanwhile, not memory.

    Args:
        source: aclImdb_v1.tar.gz or aclImdb/.
        folder: where to write; an unfinished file may be left there after an error.
        pins: what the reviews must be.

    Returns:
        A description of the source, and what was written, by split.

    Raises:
        ArchiveError: with member or file, and what to do.
    """
    try:
        is_archive = source.is_file()
        described = f"folder {source}"
        if is_archive:
            with source.open("rb") as stream:
                md5 = hashlib.file_digest(stream, "md5").hexdigest()
            known = "as published" if md5 == pins.md5 else f"not the published {pins.md5}"
            described = f"archive {source} (md5 {md5}, {known})"
        reviews = _archive_reviews(source) if is_archive else _folder_reviews(source)
        with (folder / "spool").open("w+b") as spool:
            places = _spool(source, reviews, spool)
            written = {
                split: write_rows(_rows(source, split, places, spool), folder / f"{split}.parquet")
                for split in SPLITS
            }
        (folder / "spool").unlink()
    except _BROKEN as error:
        raise ArchiveError(
            f"{source}: broken off or damaged: {error}. Download it again from {ORIGIN}"
        ) from error
    except OSError as error:
        raise ArchiveError(f"{source}: {error}. Mend the cause and run again.") from error
    _check_sums(described, written, pins)
    return described, written


def hub_order(count: int) -> Iterator[int]:
    """Running ids of one class in the order of the hub's rows: 127..0, 255..128 and so on."""
    for start in range(0, count, HUB_BLOCK):
        yield from reversed(range(start, min(start + HUB_BLOCK, count)))


def _check_sums(described: str, written: dict[str, Written], pins: Pins) -> None:
    for split, expected in (("train", pins.train), ("test", pins.test)):
        if written[split].sha256 != expected:
            raise ArchiveError(
                f"{described}: its {split} reviews, {written[split].rows:,} rows, are not the "
                f"pinned ones.\n  expected sum over rows {expected}\n"
                f"  found sum over rows    {written[split].sha256}\n"
                f"Replace it by {FILE} from {ORIGIN}, or remove it to have the hub asked."
            )


def _spool(
    source: Path, reviews: Iterator[tuple[str, bytes]], spool: BinaryIO
) -> dict[_Key, dict[int, _Place]]:
    """Copy the reviews into one file as they come; where each running id of each class lies."""
    places: dict[_Key, dict[int, _Place]] = {}
    for name, data in reviews:
        _, split, folder, file = name.split("/")
        match = _REVIEW_NAME.fullmatch(file)
        if match is None:
            raise _refused(source, name, "a review is named <running id>_<stars>.txt")
        of_class = places.setdefault((split, LABELS[folder]), {})
        if int(match[1]) in of_class:
            raise _refused(source, name, f"there is another review with running id {match[1]}")
        of_class[int(match[1])] = (spool.tell(), len(data))
        spool.write(data)
    return places


def _rows(
    source: Path, split: str, places: dict[_Key, dict[int, _Place]], spool: BinaryIO
) -> Iterator[Row]:
    """The reviews of a split in the hub's order."""
    for folder, label in LABELS.items():
        of_class = places.get((split, label), {})
        if not of_class or max(of_class) != len(of_class) - 1:
            missing = next(i for i in range(len(of_class) + 1) if i not in of_class)
            raise ArchiveError(
                f"{source}: no {FOLDER}/{split}/{folder}/{missing}_*.txt, of {len(of_class):,} "
                f"reviews there. Get {FILE} again from {ORIGIN}"
            )
        for running_id in hub_order(len(of_class)):
            offset, size = of_class[running_id]
            spool.seek(offset)
            data = spool.read(size)
            try:
                yield data.decode(), label
            except UnicodeDecodeError as error:
                raise ArchiveError(
                    f"{source}: {FOLDER}/{split}/{folder}/{running_id}_*.txt is not UTF-8: {error}"
                ) from error


def _refused(source: Path, name: str, why: str) -> ArchiveError:
    return ArchiveError(
        f"{source}: refused, {name[:200]!r}: {why}. Use {FILE} as published, from {ORIGIN}"
    )


def _is_review(parts: list[str]) -> bool:
    return len(parts) == 4 and parts[1] in SPLITS and parts[2] in LABELS


def _archive_reviews(source: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each labelled review; every other member is checked and passed over."""
    with (
        _BoundedGzip(source) as unpacked,
        tarfile.open(fileobj=unpacked, mode="r|", errorlevel=2) as archive,
    ):
        for count, member in enumerate(iter(archive.next, None), start=1):
            parts = _checked_parts(source, member)
            if count > MAX_MEMBERS:
                raise _refused(source, member.name, f"more than {MAX_MEMBERS:,} members")
            unpacked.allow(member.size)
            file = archive.extractfile(member) if _is_review(parts) else None
            if file is not None:
                yield "/".join(parts), file.read()
            archive.members = []  # type: ignore[attr-defined]  # it would keep every header


def _checked_parts(source: Path, member: tarfile.TarInfo) -> list[str]:
    """The parts of a member's name, if the member is one that the archive may have."""
    name = member.name.removeprefix("./")
    parts = name.split("/")
    if name == "." and member.isdir():
        return parts
    if "\\" in name or not name.isprintable() or any(p in ("", ".", "..") for p in parts):
        raise _refused(source, member.name, "not a plain relative name")
    if parts[0] != FOLDER:
        raise _refused(source, member.name, f"not in {FOLDER}/")
    if not (member.isdir() or member.isreg()) or member.issparse():
        raise _refused(source, member.name, "a link, a device or another special member")
    is_review = _is_review(parts)
    if is_review and not member.isreg():
        raise _refused(source, member.name, "a folder where a review must be")
    limit = MAX_REVIEW if is_review else MAX_OTHER
    if member.size > limit:
        raise _refused(source, member.name, f"{member.size:,} bytes, more than {limit:,}")
    return parts


class _BoundedGzip(gzip.GzipFile):
    """What is unpacked from the archive, as long as it is no more than what was let through.

    A few kilobytes can unpack to gigabytes: as data behind the last member, or as headers, which
    tarfile reads whole.
    """

    def __init__(self, source: Path) -> None:
        super().__init__(source, "rb")
        self._source = source
        self._taken = 0
        self._allowed = MAX_HEADERS

    def allow(self, size: int) -> None:
        """Let a member of this size through, and the headers up to the next."""
        self._allowed = min(self._taken + size + MAX_HEADERS, MAX_TOTAL)

    def read(self, size: int | None = -1) -> bytes:
        """As a file's read."""
        data = super().read(size)
        self._taken += len(data)
        if self._taken > self._allowed:
            raise ArchiveError(
                f"{self._source}: refused, it unpacks to more than its members hold. "
                f"Use {FILE} as published, from {ORIGIN}"
            )
        return data


def _folder_reviews(source: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each labelled review in the unpacked folder; links are refused."""
    for folder in (source / split / name for split in SPLITS for name in LABELS):
        for path in (folder, folder.parent):
            if path.is_symlink():
                raise _refused(source, str(path), "a link")
        for path in folder.iterdir():
            name = "/".join((FOLDER, *path.relative_to(source).parts))
            if path.is_symlink() or not path.is_file():
                raise _refused(source, name, "a link, a folder or another special file")
            if path.stat().st_size > MAX_REVIEW:
                raise _refused(source, name, f"more than {MAX_REVIEW:,} bytes")
            yield name, path.read_bytes()
