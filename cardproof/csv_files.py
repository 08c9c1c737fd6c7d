"""Small tables as CSV: what DVC's plots and the report read."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cardproof.files import write_text_atomic

Value = float | int | str | None


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Value]]) -> None:
    """Write a table with a header, whole or not at all; None becomes an empty cell."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomic(path, buffer.getvalue())


def parse_csv(text: str) -> list[dict[str, float | None]]:
    """A table of numbers with a header; an empty cell becomes None."""
    return [
        {name: float(cell) if cell else None for name, cell in row.items()}
        for row in csv.DictReader(text.splitlines())
    ]
