"""Tables of a card: Markdown tables, and the Trainer's table also where its layout is lost."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from cardproof.audit.facts import TrainingRow
from cardproof.audit.numbers import read_number
from cardproof.audit.vocabulary import as_score, read_name

_MOST_ROWS = 5_000
_LONGEST_HEADER = 600  # characters
_RULE = re.compile(r":?-{2,400}:?")
_TRAINER_HEADER = re.compile(
    r"train(?:ing)? loss\s{0,20}[|\s]\s{0,20}(?:epoch|validation loss)", re.I
)
_TOKEN = re.compile(r"No log|\S{1,60}", re.I)
_NAMES = re.compile(
    r"(?:train(?:ing)?|val(?:id(?:ation)?)?|eval(?:uation)?) loss|gen len|\S{1,60}", re.I
)
_BLANKS = ("no log", "nan", "inf", "-inf", "-", "n/a")


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        start: where it begins in the document, in characters.
        end: where it ends.
        header: the names of its columns.
        rows: its cells; a row may be shorter or longer than the header.
        lined: each row has a line of its own, the first of them two below the header.
    """

    start: int
    end: int
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lined: bool = True


def find_tables(text: str) -> list[Table]:
    """All Markdown tables that have kept their lines, and a Trainer table that has not."""
    tables = list(islice(_markdown_tables(text), 200))
    if any(is_training(table) for table in tables):
        return tables
    match = next(
        (m for m in _TRAINER_HEADER.finditer(text) if not _inside(m.start(), tables)), None
    )
    if match is None:
        return tables
    flat = _piped(text, match.start()) if "|" in match[0] else _spaced(text, match.start())
    return [*tables, flat] if flat else tables


def _inside(place: int, tables: Sequence[Table]) -> bool:
    return any(table.start <= place < table.end for table in tables)


def _markdown_tables(text: str) -> Iterator[Table]:
    """Tables of lines with pipes, the second line being dashes."""
    place, block = 0, []
    for line in [*text.split("\n"), ""]:
        if "|" in line:
            block.append((place, line))
        else:
            if len(block) > 1 and _is_rule(block[1][1]):
                end = block[-1][0] + len(block[-1][1])
                rows = tuple(_cells(row) for _, row in block[2 : _MOST_ROWS + 2])
                yield Table(block[0][0], end, _cells(block[0][1]), rows)
            block = []
        place += len(line) + 1


def _is_rule(line: str) -> bool:
    cells = _cells(line[:10_000])
    return bool(cells) and all(_RULE.fullmatch(cell) or cell in ("-", ":-:") for cell in cells)


def _cells(line: str) -> tuple[str, ...]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return tuple(cell.strip().strip("*`").strip() for cell in inner.split("|"))


def _piped(text: str, start: int) -> Table | None:
    """A Trainer table with its pipes, all on one line."""
    place = start
    cells: list[tuple[str, int]] = []
    for cell in islice(text[start:].split("|"), 40 * _MOST_ROWS):
        content = cell.strip()
        is_cell = len(cells) < 40 or _is_value(content) or _RULE.fullmatch(content)
        if content and not is_cell:
            break
        if content:
            cells.append((content, place + len(cell)))
        place += len(cell) + 1
    rule = next((i for i, (cell, _) in enumerate(cells) if _RULE.fullmatch(cell)), 0)
    if not rule:
        return None
    values = [(c, e) for c, e in cells[rule:] if not _RULE.fullmatch(c)]
    while values and not _is_value(values[-1][0]):
        values.pop()
    return _chunked(start, tuple(cell for cell, _ in cells[:rule]), values)


def _spaced(text: str, start: int) -> Table | None:
    """A Trainer table without pipes, as copied from a rendered page."""
    head = text[start : start + _LONGEST_HEADER]
    first = next((m for m in _TOKEN.finditer(head) if _is_value(m[0])), None)
    if first is None:
        return None
    header = tuple(_NAMES.findall(head[: first.start()]))
    values = []
    for match in islice(_TOKEN.finditer(text, start + first.start()), 40 * _MOST_ROWS):
        if not _is_value(match[0]):
            break
        values.append((match[0], match.end()))
    return _chunked(start, header, values)


def _chunked(start: int, header: tuple[str, ...], values: list[tuple[str, int]]) -> Table | None:
    """Cut a flow of values into rows as wide as the header."""
    width = len(header)
    whole = len(values) // width if width else 0
    if not whole:
        return None
    values = values[: whole * width]
    cells = [cell for cell, _ in values]
    rows = tuple(tuple(cells[i : i + width]) for i in range(0, len(cells), width))
    return Table(start, values[-1][1], header, rows[:_MOST_ROWS], lined=False)


def _is_value(cell: str) -> bool:
    return cell.lower() in _BLANKS or read_number(cell) is not None


def is_training(table: Table) -> bool:
    """Whether the rows of the table are points of a training run."""
    names = [_column(name) for name in table.header]
    places = [place for place, name in enumerate(names) if name in ("epoch", "step")]
    columns = [[row[place] for row in table.rows if place < len(row)] for place in places]
    logged = {"train loss", "loss"} & set(names) and any(_is_value(row[0]) for row in table.rows)
    return bool(logged) and any(map(_increases, columns))


def _increases(column: Sequence[str]) -> bool:
    """Whether the numbers of a column grow from row to row, as those of a run do."""
    values = [one.figure.value for one in map(read_number, column) if one]
    return bool(values) and all(before < after for before, after in pairwise(values))


def _column(name: str) -> str:
    """What a column is of: as `Claim.key`, epoch or step."""
    key = read_name(name).key
    return {"epochs": "epoch", "steps": "step", "global step": "step", "iteration": "step"}.get(
        key, key
    )


def training_rows(table: Table, line: int) -> tuple[TrainingRow, ...]:
    """The rows of a training table that begins in the given line; those that fit its header."""
    names = [_column(name) for name in table.header]
    known = ("epoch", "step", "train loss", "loss")
    rows = []
    for number, cells in enumerate(table.rows):
        if len(cells) != len(names):
            continue
        values = dict(zip(names, map(read_number, cells), strict=True))
        step = values.get("step")
        scores = {
            name: as_score(name.rpartition(" ")[2], value)
            for name, value in values.items()
            if name not in known and value
        }
        rows.append(
            TrainingRow(
                epoch=values.get("epoch"),
                step=round(step.figure.value) if step else None,
                training_loss=values.get("train loss"),
                loss=values.get("loss"),
                scores=scores,
                line=line + 2 + number if table.lined else line,
            )
        )
    return tuple(rows)
