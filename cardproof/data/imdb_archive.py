"""The IMDb reviews from their original archive: another source of the hub's rows.

aclImdb_v1.tar.gz, or the folder aclImdb that it unpacks to, holds a file for each review, such as
`aclImdb/train/neg/0_3.txt`: running id 0, three stars. Of the archive only those files are
unpacked, through tarfile's data filter. What decides is the checksum over the rows
(`cardproof.data.rows`): an archive that was packed again gives the same reviews.
"""

import gzip
import hashlib
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from cardproof.data.rows import Row, Written, write_rows
from cardproof.errors import CardproofError
from cardproof.recipe.schema import Archive

FILE = "aclImdb_v1.tar.gz"
FOLDER = "aclImdb"
ORIGIN = "https://ai.stanford.edu/~amaas/data/sentiment/"
LABELS = {"neg": 0, "pos": 1}
HUB_BLOCK = 128  # running ids: the hub's rows come in blocks of them, each block backwards

# The real archive: 100,030 members, reviews of up to 14 kB, other files of up to 41 MB.
MAX_MEMBERS = 150_000
MAX_REVIEW = 1 << 20
MAX_OTHER = 128 << 20

_REVIEW_NAME = re.compile(r"([0-9]{1,6})_[0-9]{1,2}\.txt")
_REVIEW = re.compile(rf"(\./)?{FOLDER}/(train|test)/(neg|pos)/{_REVIEW_NAME.pattern}")


class ArchiveError(CardproofError):
    """An archive that is unsafe or broken, or holds other reviews than the pinned ones."""


def import_archive(source: Path, folder: Path, pins: Archive) -> tuple[str, dict[str, Written]]:
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
        described, unpacked = f"folder {source}", source
        with TemporaryDirectory(dir=folder) as scratch:
            if source.is_file():
                with source.open("rb") as stream:
                    md5 = hashlib.file_digest(stream, "md5").hexdigest()
                known = "as published" if md5 == pins.md5 else f"not the published {pins.md5}"
                described = f"archive {source} (md5 {md5}, {known})"
                _unpack(source, scratch)
                unpacked = Path(scratch) / FOLDER
            return described, {
                split: _import_split(unpacked, split, folder, described, checksum)
                for split, checksum in (("train", pins.train), ("test", pins.test))
            }
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ArchiveError(
            f"{source}: broken off, damaged or unsafe: {error}. Download it again from {ORIGIN}"
        ) from error
    except OSError as error:
        raise ArchiveError(f"{source}: {error}. Fix the cause and run again.") from error


def hub_order(count: int) -> Iterator[int]:
    """Running ids of one class in the order of the hub's rows: 127..0, 255..128 and so on."""
    for start in range(0, count, HUB_BLOCK):
        yield from reversed(range(start, min(start + HUB_BLOCK, count)))


def _import_split(
    unpacked: Path, split: str, folder: Path, described: str, checksum: str
) -> Written:
    """Write the reviews of a split, if their rows have the pinned checksum."""
    written = write_rows(_rows(unpacked / split, described), folder / f"{split}.parquet")
    if written.sha256 != checksum:
        raise ArchiveError(
            f"{described}: its {split} reviews, {written.rows:,} rows, are not the pinned ones.\n"
            f"  expected checksum over rows {checksum}\n"
            f"  found checksum over rows    {written.sha256}\n"
            f"Replace it by {FILE} from {ORIGIN}, or remove it to have the hub asked."
        )
    return written


def _rows(split: Path, described: str) -> Iterator[Row]:
    """The reviews of a split in the hub's order; links and special files count as missing."""
    for name, label in LABELS.items():
        with os.scandir(split / name) as entries:
            matches = (
                _REVIEW_NAME.fullmatch(e.name) for e in entries if e.is_file(follow_symlinks=False)
            )
            files = {int(match[1]): match[0] for match in matches if match}
        for running_id in hub_order(len(files)):
            where = f"{FOLDER}/{split.name}/{name}/{running_id}_*.txt"
            if running_id not in files:
                raise ArchiveError(
                    f"{described}: no {where}, of {len(files):,} reviews there. Get {FILE} again "
                    f"from {ORIGIN}"
                )
            with (split / name / files[running_id]).open("rb") as stream:
                data = stream.read(MAX_REVIEW)
            try:
                yield data.decode(), label
            except UnicodeDecodeError as error:
                raise ArchiveError(f"{described}: {where} is not UTF-8: {error}") from error


def _unpack(source: Path, scratch: str) -> None:
    """Unpack the labelled reviews, and nothing else, below `scratch`."""
    with _ShortReads(source) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for count, member in enumerate(iter(archive.next, None), start=1):
            is_review = _REVIEW.fullmatch(member.name) is not None
            limit = MAX_REVIEW if is_review else MAX_OTHER
            if count > MAX_MEMBERS:
                raise _refused(source, member, f"more than {MAX_MEMBERS:,} members")
            if member.size > limit:
                raise _refused(source, member, f"{member.size:,} bytes, more than {limit:,}")
            tarfile.data_filter(member, scratch)  # raises a TarError at one that is unsafe
            if is_review and not member.isreg():
                raise _refused(source, member, "not a file where a review must be")
            if is_review:
                archive.extract(member, scratch, filter="data")
            archive.members = []  # type: ignore[attr-defined]  # it would keep every header


def _refused(source: Path, member: tarfile.TarInfo, why: str) -> ArchiveError:
    return ArchiveError(
        f"{source}: refused, {member.name[:200]!r}: {why}. Use {FILE} as published, from {ORIGIN}"
    )


class _ShortReads(gzip.GzipFile):
    """Refuses long reads: tarfile reads a header whole, and it may claim to be of gigabytes."""

    def read(self, size: int | None = -1) -> bytes:
        """As a file's read."""
        if size is None or not 0 <= size <= MAX_REVIEW:
            raise tarfile.ReadError(f"a header of more than {MAX_REVIEW:,} bytes")
        return super().read(size)
