"""User files: a parquet, CSV or JSON lines file becomes reviews like the hub's, or none.

Texts are kept to the byte. CSV is read by the standard library's `csv` in strict mode: pyarrow's
reader takes broken quoting for text, so that one lost quote joins two reviews into one. JSON lines
are read by `json`, which, like `csv`, lets an error name its line.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from reprlib import repr as short
from typing import Any

from cardproof.data.rows import GROUP_ROWS, Row, Written, write_rows
from cardproof.errors import CardproofError
from cardproof.files import checksum_lines, sha256_of

MAX_TEXT = 16 << 20  # characters of a review: more is an export fault, such as a lost quote
MAX_LINE = 8 * MAX_TEXT  # bytes: JSON may write a character as six
MAX_LABELS = 12  # distinct labels that an error shows
COLUMNS = ("text", "label")

Record = tuple[str, object, object]  # where it stands, text, label: as the file has them


class ReviewsError(CardproofError):
    """Reviews that cannot be used as they are."""


def unreadable(source: Path) -> str:
    """Why a user file cannot be read, and what to do; empty if it can.

    Raises:
        OSError: the system does not let it be read.
    """
    if source.is_dir():
        return "is a directory; name a file in it"
    if source.suffix.lower() not in _READERS:
        formats = f"bring {', '.join(_READERS)}, not compressed"
        return f"is of format {source.suffix or 'without a suffix'!r}, which is not read; {formats}"
    if not source.exists():
        return "is not there; correct the path, which starts from the root of this repository"
    if not source.is_file():
        return "is no regular file; name one"
    with source.open("rb"):
        return ""


def checked_sha256(source: Path, sha256: str | None) -> str:
    """The sha256 of a user file, which must be the given one if one is given.

    Raises:
        ReviewsError: it is another one.
    """
    actual = sha256_of(source)
    if sha256 and sha256 != actual:
        raise ReviewsError(
            f"{source}: not the file that sources.yaml names.\n"
            f"{checksum_lines(sha256, actual)}\n"
            "Put the new checksum there if the file was changed on purpose."
        )
    return actual


def import_reviews(source: Path, target: Path) -> Written:
    """Turn a file of labelled reviews into parquet as the later stages read it.

    Args:
        source: as of `read_reviews_file`.
        target: the parquet file to write.

    Raises:
        ReviewsError: a fault, or fewer than two reviews; `target` may be half written.
    """
    written = write_rows(read_reviews_file(source), target)
    if written.rows < 2:
        count = "1 review" if written.rows else "no reviews"
        raise ReviewsError(f"{source}: holds {count}; 2 or more are needed")
    return written


def remarks(written: Written) -> list[str]:
    """What the owner of the reviews may want to know, though nothing is wrong."""
    found = []
    if written.empty:
        found = [f"{written.empty:,} without text: kept, with their labels"]
    if written.positive in (0, written.rows):
        only = "positive" if written.positive else "negative"
        found.append(f"all {only}: scores that compare two classes have no value")
    return found


def read_reviews_file(path: Path) -> Iterator[Row]:
    """The reviews of a parquet, CSV or JSON lines file, in its order, one after the other.

    Its columns text and label are read, others left out. Labels are 0 (negative) and 1 (positive).

    Raises:
        ReviewsError: at the first fault, with file, line or row, value, and what to do.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ReviewsError(
            f"{path}: format {path.suffix or 'without a suffix'!r} is not read; bring "
            f"{', '.join(_READERS)}, not compressed"
        )
    _check_kind(path)
    seen: set[int] = set()
    records = reader(path)
    for where, text, label in records:
        if type(label) is not int or label not in (0, 1):
            raise _label_error(where, label, seen, records)
        seen.add(label)
        yield _text(where, text), label


# How files begin that are something else than a text in UTF-8, and what to do with them.
_UNPACK = "unpack it and give the file that is in it"
_OTHER_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (rb"\xff\xfe\0\0|\0\0\xfe\xff|[^\0]\0{3}|\0{3}[^\0]", "text in UTF-32",
     "convert it: iconv -f UTF-32 -t UTF-8"),
    (rb"\xff\xfe|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]", "text in UTF-16",
     "convert it: iconv -f UTF-16 -t UTF-8"),
    (rb"\x1f\x8b", "compressed by gzip", _UNPACK),
    (rb"BZh[1-9]", "compressed by bzip2", _UNPACK),
    (rb"\xfd7zXZ\0", "compressed by xz", _UNPACK),
    (rb"\x28\xb5\x2f\xfd", "compressed by zstd", _UNPACK),
    (rb"PK\x03\x04", "a ZIP archive or a spreadsheet", "export it as CSV"),
)  # fmt: skip
_PARQUET = (rb"PAR1", "parquet", "give it that suffix")


def _check_kind(path: Path) -> None:
    """Refuse a file that is of another kind than its suffix says."""
    if path.is_dir():
        raise ReviewsError(f"{path}: a directory; name a file in it")
    with path.open("rb") as file:
        head = file.read(8)
    is_text = path.suffix.lower() != ".parquet"
    for pattern, kind, advice in (*_OTHER_KINDS, *([_PARQUET] if is_text else [])):
        if re.match(pattern, head, re.DOTALL):
            raise ReviewsError(f"{path}: its content is {kind}; {advice}")


def _text(where: str, text: object) -> str:
    """The text, if it is one that UTF-8 can hold."""
    try:
        if isinstance(text, bytes):  # of parquet, which does not check them
            text = text.decode()
        if isinstance(text, str):
            text.encode()
    except UnicodeDecodeError as error:
        raise ReviewsError(f"{where}: {_not_utf8(error)}") from error
    except UnicodeEncodeError as error:
        raise ReviewsError(
            f"{where}: text holds {error.object[error.start]!a} at character {error.start}, half "
            "of a surrogate pair and no character; write the whole pair or remove it"
        ) from error
    if not isinstance(text, str):
        kind = "null" if text is None else f"of type {type(text).__name__}"
        raise ReviewsError(f"{where}: text is {kind}; give it a text or leave the row out")
    if len(text) > MAX_TEXT:
        raise ReviewsError(
            f"{where}: text has {len(text):,} characters, more than {MAX_TEXT:,}; is a quote "
            "lost? Else shorten it: the first 512 tokens are read"
        )
    return text


def _not_utf8(error: UnicodeDecodeError) -> str:
    return (
        f"byte {error.object[error.start]:#04x} at {error.start} is not UTF-8; convert the file, "
        "e.g. iconv -f CP1252 -t UTF-8"
    )


def _label_error(where: str, label: object, seen: set[int], rest: Iterator[Record]) -> ReviewsError:
    """The error for a label that is not 0 or 1: all labels of the file, and how to map them."""
    found: dict[str, object] = {short(value): value for value in (*sorted(seen), label)}
    with suppress(ReviewsError):  # a second fault; the label is the one to report
        for _, _, other in rest:
            found.setdefault(short(other), other)
            if len(found) > MAX_LABELS:
                break
    names = {str(value).strip().lower() for value in found.values()}
    advice = next(words for known, words in _MAPPINGS if names <= known or not known)
    if None in found.values() or "" in found.values():
        advice = "Give each review a label, or leave out those that have none."
    return ReviewsError(
        f"{where}: label {short(label)}; labels must be the whole numbers 0 (negative) and 1 "
        f"(positive).\n  The file's labels: {', '.join(sorted(found))}\n  {advice}"
    )


# What other collections write for negative and positive, and what to make of it.
_MAPPINGS: tuple[tuple[set[str], str], ...] = (
    ({"0", "1", "0.0", "1.0"}, "Write them without a point and without quotes: 0 and 1."),
    ({"-1", "1"}, "Map them: -1 to 0, and 1 stays 1."),
    ({"neg", "pos", "negative", "positive"}, "Map them: the negative to 0, the positive to 1."),
    ({"false", "true"}, "Map them: false to 0, true to 1."),
    ({"1", "2"}, "Map them, if 1 is negative and 2 positive: 1 to 0, 2 to 1."),
    ({*"12345"}, "If they are stars: 1 and 2 to 0, 4 and 5 to 1, and leave out 3."),
    ({*"123456789", "10"}, "If they are stars: 1 to 4 to 0, 7 to 10 to 1, and leave out 5 and 6."),
    (set(), "Map them to 0 and 1, and leave out what is neither."),  # of any others
)


def _check_columns(path: Path, names: list[str], remedy: str) -> None:
    if wrong := [c for c in COLUMNS if names.count(c) != 1]:
        has = ", ".join(map(short, names)) or "none"
        raise ReviewsError(
            f"{path}: must have one column {' and one column '.join(wrong)}; its columns: {has}. "
            f"{remedy}"
        )


def _parquet_records(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names, "Rename them.")
            kind = file.schema_arrow.field("text").type
            if kind not in (pa.string(), pa.large_string(), pa.string_view()):
                raise ReviewsError(f"{path}: column text is of type {kind}; make it string")
            number = 0
            for batch in file.iter_batches(GROUP_ROWS, columns=list(COLUMNS)):
                texts = batch["text"].cast(pa.large_binary()).to_pylist()
                for text, label in zip(texts, batch["label"], strict=True):
                    number += 1
                    where = f"{path}, row {number}"
                    yield where, text, _plain(where, label)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of this machine, not of the file
        reason = " ".join(str(error).split())
        raise ReviewsError(f"{path}: not readable as parquet: {reason}. Write it again.") from error


def _plain(where: str, label: Any) -> object:
    """A value of parquet as Python has it; not every point in time is one there."""
    try:
        return label.as_py()
    except (ValueError, OverflowError) as error:
        raise ReviewsError(
            f"{where}: label of type {label.type} cannot be read: {error}; labels must be the "
            "whole numbers 0 (negative) and 1 (positive)"
        ) from error


def _csv_records(path: Path) -> Iterator[Record]:
    csv.field_size_limit(MAX_TEXT)
    reader = csv.reader((line for _, line in _lines(path)), strict=True)
    labels: dict[str, object] = {"0": 0, "1": 1}
    header: list[str] = []
    where = f"{path}, line 1"
    quoting = "Put a text with a comma, quote or line break into quotes, its own quotes doubled."
    try:
        for fields in reader:  # a blank line has none
            if not header and fields:
                _check_columns(path, fields, "The first line must name them, separated by commas.")
                header = fields
            elif fields and len(fields) != len(header):
                raise ReviewsError(
                    f"{where}: {len(fields)} fields, the first line has {len(header)}. {quoting}"
                )
            elif fields:
                record = dict(zip(header, fields, strict=True))
                yield where, record["text"], labels.get(record["label"], record["label"])
            where = f"{path}, line {reader.line_num + 1}"
    except csv.Error as error:
        raise ReviewsError(f"{where}: broken CSV: {error}. {quoting}") from error


def _json_records(path: Path) -> Iterator[Record]:
    advice = "Write one object a line, with text and label, e.g. with jq -c '.[]'"
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            # As pairs: of a key that comes twice a dict keeps the last.
            record: Any = json.loads(line, object_pairs_hook=tuple)
        except (ValueError, RecursionError) as error:
            raise ReviewsError(f"{where}: no JSON: {error}. {advice}") from error
        if not isinstance(record, tuple):
            raise ReviewsError(f"{where}: a {type(record).__name__}, not an object. {advice}")
        _check_columns(path, [key for key, _ in record], f"See line {number}.")
        fields = dict(record)
        yield where, fields["text"], fields["label"]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their ends, numbered from 1; only a line feed ends one."""
    with path.open("rb") as file:
        for number, data in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
            if len(data) > MAX_LINE:
                raise ReviewsError(
                    f"{path}, line {number}: longer than {MAX_LINE:,} bytes; is this a text file "
                    "with a line for each review?"
                )
            try:
                # A byte order mark is no part of the first column's name.
                yield number, data.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ReviewsError(f"{path}, line {number}: {_not_utf8(error)}") from error


_READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".parquet": _parquet_records,
    ".csv": _csv_records,
    ".jsonl": _json_records,
    ".ndjson": _json_records,
    ".json": _json_records,
}
