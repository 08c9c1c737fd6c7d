"""Labelled reviews that come as rows: one schema, one layout of the file, one checksum of rows.

The hub's own files are copied byte for byte. Reviews from elsewhere become such a file here.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

Row = tuple[str, int]  # text, label

GROUP_ROWS = 1000  # of a row group, as the hub has them
GROUP_BYTES = 8 << 20  # of text; long reviews make smaller groups, so that memory stays flat


class Written(NamedTuple):
    """What a file of reviews holds: all rows, those with label 1, and those without text.

    Its checksum is over the rows: each is hashed as its label, a blank, the number of bytes of its
    text in UTF-8, a line feed, and those bytes.
    """

    rows: int
    positive: int
    empty: int
    sha256: str


def row_bytes(text: str, label: int) -> bytes:
    """What the checksum over rows takes of a row."""
    data = text.encode()
    return f"{label} {len(data)}\n".encode() + data


def rows_checksum(rows: Iterable[Row]) -> str:
    """The checksum over rows, as `Written` has it."""
    digest = hashlib.sha256()
    for text, label in rows:
        digest.update(row_bytes(text, label))
    return digest.hexdigest()


def write_rows(rows: Iterable[Row], path: Path) -> Written:
    """Write reviews as parquet with the columns text (string) and label (int64), in their order.

    Memory does not grow with the reviews.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("text", pa.string()), ("label", pa.int64())])
    digest = hashlib.sha256()
    count = positive = empty = 0
    with pq.ParquetWriter(path, schema) as writer:
        for group in _groups(rows):
            for text, label in group:
                digest.update(row_bytes(text, label))
                positive += label
                empty += not text
            count += len(group)
            columns = dict(zip(schema.names, zip(*group, strict=True), strict=True))
            writer.write_batch(pa.RecordBatch.from_pydict(columns, schema))
    return Written(count, positive, empty, digest.hexdigest())


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row[0])
        if len(group) == GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
