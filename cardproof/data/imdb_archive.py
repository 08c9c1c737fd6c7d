"""The IMDb reviews from their original archive: another source of the hub's rows.

aclImdb_v1.tar.gz, or the folder aclImdb that it unpacks to, holds a file for each review, such as
`aclImdb/train/neg/0_3.txt`: running id 0, three stars. Nothing is unpacked: the archive's reviews
are read into memory (65 MB), and what else is in it passes tarfile's data filter. What decides is
the checksum over the rows (`cardproof.data.rows`): an archive that was packed again gives the same.
"""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from cardproof.data.rows import Row, Written, write_rows
from cardproof.errors import CardproofError
from cardproof.files import checksum_lines, digest_of
from cardproof.recipe.schema import Archive

FILE = "aclImdb_v1.tar.gz"
FOLDER = "aclImdb"
ORIGIN = "https://ai.stanford.edu/~amaas/data/sentiment/"
LABELS = {"neg": 0, "pos": 1}
HUB_BLOCK = 128  # running ids: the hub's rows come in blocks of them, each block backwards

# The real archive: 100,030 members, reviews of up to 14 kB, other files of up to 41 MB.
MAX_MEMBERS = 150_000
MAX_REVIEW = 1 << 20
MAX_REVIEWS = 128 << 20  # bytes of all of them, which are held in memory
MAX_OTHER = 128 << 20

_REVIEW = re.compile(rf"(?:\./)?{FOLDER}/(train|test)/(neg|pos)/([0-9]{{1,6}})_[0-9]{{1,2}}\.txt")
_FAULTS = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
_Key = tuple[str, str, int]  # split, folder of the label, running id


class ArchiveError(CardproofError):
    """An archive that is unsafe or broken, or holds other reviews than the pinned ones."""


def import_archive(source: Path, folder: Path, pins: Archive) -> tuple[str, dict[str, Written]]:
    """Write train.parquet and test.parquet with the archive's reviews in the hub's order.

    Args:
        source: aclImdb_v1.tar.gz or aclImdb/.
        folder: where to write; an unfinished file may be left there after an error.
        pins: what the reviews must be.

    Returns:
        A description of the source, and what was written, by split.

    Raises:
        ArchiveError: with member or file, and what to do.
    """
    written = {}
    try:
        if source.is_file():
            md5 = digest_of(source, "md5")
            known = "as published" if md5 == pins.md5 else f"not the published {pins.md5}"
            described = f"archive {source} (md5 {md5}, {known})"
            reviews = dict(_archive_reviews(source))
        else:
            described, reviews = f"folder {source}", dict(_folder_reviews(source))
    except _FAULTS as error:
        raise _broken(source, str(error)) from error
    for split, checksum in (("train", pins.train), ("test", pins.test)):
        written[split] = write_rows(_rows(reviews, split, described), folder / f"{split}.parquet")
        if written[split].sha256 != checksum:
            raise ArchiveError(
                f"{described}: its {split} reviews, {written[split].rows:,} rows, are not the "
                "pinned ones.\n"
                f"{checksum_lines(checksum, written[split].sha256, 'checksum over rows')}\n"
                f"Replace it by {FILE} from {ORIGIN}, or remove it to have the hub asked."
            )
    return described, written


def hub_order(count: int) -> Iterator[int]:
    """Running ids of one class in the order of the hub's rows: 127..0, 255..128 and so on."""
    for start in range(0, count, HUB_BLOCK):
        yield from reversed(range(start, min(start + HUB_BLOCK, count)))


def _rows(reviews: dict[_Key, bytes], split: str, described: str) -> Iterator[Row]:
    """The reviews of a split in the hub's order."""
    for name, label in LABELS.items():
        count = sum(key[:2] == (split, name) for key in reviews)
        for running_id in hub_order(max(count, 1)):
            where = f"{FOLDER}/{split}/{name}/{running_id}_*.txt"
            if (split, name, running_id) not in reviews:
                lacks = f"no {where}, of {count:,} reviews there"
                raise ArchiveError(f"{described}: {lacks}. Get {FILE} again from {ORIGIN}")
            try:
                yield reviews[split, name, running_id].decode(), label
            except UnicodeDecodeError as error:
                raise ArchiveError(f"{described}: {where} is not UTF-8: {error}") from error


def _archive_reviews(source: Path) -> Iterator[tuple[_Key, bytes]]:
    """The archive's labelled reviews, read from front to back."""
    held = 0
    with _ShortReads(source) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for count, member in enumerate(_members(source, archive, stream), start=1):
            match = _REVIEW.fullmatch(member.name)
            limit = min(MAX_REVIEW, MAX_REVIEWS - held) if match else MAX_OTHER
            if count > MAX_MEMBERS:
                raise _refused(source, member, f"more than {MAX_MEMBERS:,} members")
            if member.size > limit:
                raise _refused(source, member, f"{member.size:,} bytes, more than {limit:,}")
            if match:
                if not member.isreg():
                    raise _refused(source, member, "not a file where a review must be")
                try:
                    data = cast(IO[bytes], archive.extractfile(member)).read()
                except _FAULTS as error:
                    raise _broken(source, f"in {member.name!r}: {error}") from error
                yield (match[1], match[2], int(match[3])), data
                held += len(data)
            elif hasattr(tarfile, "data_filter"):  # not before Python 3.11.4
                tarfile.data_filter(member, str(source.parent))  # a TarError if it is unsafe
            archive.members = []  # type: ignore[attr-defined]  # it would keep every header


def _members(
    source: Path, archive: tarfile.TarFile, stream: "_ShortReads"
) -> Iterator[tarfile.TarInfo]:
    """The members of an archive; an end where none should be is an error that names the last."""
    last = "its beginning"
    try:
        while member := archive.next():
            yield member
            last = f"{member.name[:200]!r}"
    except _FAULTS as error:
        raise _broken(source, f"after {last}: {error}") from error
    if any(stream.block):  # tarfile takes what is no header for the end
        raise _broken(source, f"after {last}: no header of a member")


def _folder_reviews(source: Path) -> Iterator[tuple[_Key, bytes]]:
    """The unpacked folder's labelled reviews; links and special files are passed over."""
    for path in source.glob("t*/*/*.txt"):
        match = _REVIEW.fullmatch(f"{FOLDER}/{path.relative_to(source).as_posix()}")
        if match and path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                yield (match[1], match[2], int(match[3])), stream.read(MAX_REVIEW)


def _broken(source: Path, why: str) -> ArchiveError:
    return ArchiveError(
        f"{source}: truncated, damaged or unsafe, {why}. Download it again from {ORIGIN}"
    )


def _refused(source: Path, member: tarfile.TarInfo, why: str) -> ArchiveError:
    return ArchiveError(
        f"{source}: refused, {member.name[:200]!r}: {why}. Use {FILE} as published, from {ORIGIN}"
    )


class _ShortReads(gzip.GzipFile):
    """Refuses long reads: tarfile reads a header whole, and it may claim to be of gigabytes.

    Attributes:
        block: the last header that was read, or the zeros in place of one.
    """

    block = b""

    def read(self, size: int | None = -1) -> bytes:
        """As a file's read."""
        if size is None or not 0 <= size <= MAX_REVIEW:
            raise tarfile.ReadError(f"a header of more than {MAX_REVIEW:,} bytes")
        data = super().read(size)
        if size == tarfile.BLOCKSIZE:
            self.block = data
        return data
