"""Writes a comparison's files into a folder."""

from pathlib import Path

from cardproof.files import write_text_atomic
from cardproof.pages.compare import tables
from cardproof.pages.compare.figure import draw
from cardproof.pages.compare.render import FIGURE, render_markdown, render_page
from cardproof.pages.compare.tables import Comparison, Table
from cardproof.tables import write_csv


def write_comparison(comparison: Comparison, folder: Path) -> str:
    """Write Markdown, HTML, CSV and the figure; the Markdown is returned, too."""
    folder.mkdir(parents=True, exist_ok=True)
    drawing = draw(comparison.groups)
    if drawing:
        (folder / FIGURE).write_bytes(drawing.png)
    else:
        (folder / FIGURE).unlink(missing_ok=True)  # of an earlier comparison
    markdown = render_markdown(comparison, drawing)
    write_text_atomic(folder / "comparison.md", markdown)
    write_text_atomic(folder / "comparison.html", render_page(comparison, drawing))
    rows = tables.group_rows(comparison.groups)
    write_csv(folder / "comparison.csv", list(rows[0]), rows)
    write_csv(folder / "pairs.csv", tables.PAIR_COLUMNS, tables.pair_rows(comparison.paired))
    _write_table(folder / "runs.csv", tables.runs_table(comparison.groups))
    return markdown


def _write_table(path: Path, table: Table) -> None:
    columns = [name for name, _ in table.columns]
    write_csv(path, columns, [dict(zip(columns, row, strict=True)) for row in table.rows])
