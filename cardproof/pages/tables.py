"""Tables: one structure that Markdown, HTML and CSV are written from."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from tabulate import tabulate

from cardproof.text import printable

T = TypeVar("T")


class Tagged(NamedTuple):
    """A cell with a mark beside its text, such as a verdict."""

    text: str
    tag: str


class Pair(NamedTuple):
    """A cell with the card's figure and ours."""

    claimed: str
    measured: str


Cell = str | Tagged | Pair
ColumnOf = tuple[str, str, Callable[[T], Cell]]  # name, kind, and what the cell of an item says


class Column(NamedTuple):
    """A column's name, and what kind of cells it has.

    Kinds: "head" names the row; "number" is set to the right, and so are "measured" (ours) and
    "claimed" (the card's); "text", "soft" (set back) and "code"; "tag" is a word as a mark. With
    "*" at its end, a kind's column is left out on narrow screens.
    """

    name: str
    kind: str

    @property
    def numeric(self) -> bool:
        """Whether cells are set to the right."""
        return self.kind.rstrip("*") in ("number", "measured", "claimed")


@dataclass(frozen=True)
class Table:
    """Cells as text."""

    name: str  # what it holds, in a word or a few
    caption: str  # how to read it, in sentences; may be empty
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    details: Sequence[str] = ()  # below each row a text across all columns

    def only(self, *names: str) -> "Table":
        """The table with the columns of these names alone, without details."""
        kept = [i for i, column in enumerate(self.columns) if column.name in names]
        columns = [self.columns[i] for i in kept]
        return Table(
            self.name, self.caption, columns, [[row[i] for i in kept] for row in self.rows]
        )


def make_table(
    name: str,
    caption: str,
    columns: Sequence[ColumnOf[T]],
    items: Iterable[T],
    detail: Callable[[T], str] | None = None,
) -> Table:
    """A row for each item; `detail` says what stands below it, across all columns."""
    listed = list(items)
    rows = [[cell(item) for _, _, cell in columns] for item in listed]
    details = [detail(item) for item in listed] if detail else []
    return Table(name, caption, [Column(title, kind) for title, kind, _ in columns], rows, details)


def markdown_table(table: Table) -> str:
    """Markdown with columns of even width, so that it also reads on a terminal."""
    printed = tabulate(
        [[one_line(_flat(cell)) for cell in row] for row in table.rows],
        headers=[column.name for column in table.columns],
        tablefmt="pipe",
        colalign=["right" if column.numeric else "left" for column in table.columns]
        if table.rows
        else None,
        disable_numparse=True,
    )
    return f"{table.caption}\n\n{printed}" if table.caption else printed


def table_records(table: Table) -> list[dict[str, str]]:
    """A mapping from column to cell for each row, for CSV."""
    names = [column.name for column in table.columns]
    return [dict(zip(names, map(_flat, row), strict=True)) for row in table.rows]


def escape_markdown(text: str) -> str:
    """Text that Markdown takes for text: no tags, no cells, no links of its own.

    Backquotes stay: they set commands off in our sentences, and do no harm in others' names.
    """
    escaped = text.replace("\\", "\\\\").replace("&", "&amp;")
    escaped = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", escaped)
    return re.sub(r"[|\[*]", r"\\\g<0>", escaped)


def one_line(text: str) -> str:
    """Text as of `escape_markdown`, in one line and without what cannot be seen."""
    return escape_markdown(re.sub(" {2,}", " ", printable(text)).strip())


def _flat(cell: Cell) -> str:
    if isinstance(cell, Pair):
        return f"{cell.claimed} → {cell.measured}"
    return cell if isinstance(cell, str) else f"{cell.text} ({cell.tag})" if cell.tag else cell.text
