"""A comparison's files: Markdown, one self-contained HTML page, CSV and the figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cardproof.files import write_text_atomic
from cardproof.pages import comparison_tables as tables
from cardproof.pages.comparison_figure import Drawing, draw
from cardproof.pages.comparison_tables import Comparison
from cardproof.pages.formats import count
from cardproof.pages.tables import escape_markdown, markdown_table, table_records
from cardproof.pages.templates import data_uri, render
from cardproof.runs.paired import NOT_SHOWN
from cardproof.tables import Value, write_csv

FIGURE = "comparison.png"
HOW_TO_READ = (
    "“Recipes differ” is said where two and more seeds of each were run and both intervals leave "
    "out zero, the one over seeds after Holm's correction. With a single seed it is these models "
    "that differ or not: McNemar's exact test of the two that are named, corrected likewise."
)


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
    written: dict[str, Sequence[Mapping[str, Value]]] = {
        "comparison": tables.group_rows(comparison.groups),
        "pairs": tables.pair_rows(comparison.paired),
        "runs": table_records(tables.runs_table(comparison.groups)),
    }
    for name, rows in written.items():
        columns = dict.fromkeys(column for row in rows for column in row)
        write_csv(folder / f"{name}.csv", list(columns), rows)
    return markdown


def render_markdown(comparison: Comparison, drawing: Drawing | None) -> str:
    """The comparison as Markdown; the figure is a file beside it."""
    paired, escape = comparison.paired, escape_markdown
    parts = ["# Comparison of runs", markdown_table(tables.main_table(comparison.groups))]
    if drawing:
        parts.append(f"![{escape(drawing.alt)}]({FIGURE})\n\n{escape(drawing.caption)}")
    parts += ["## Paired tests"]
    if paired.pairs:
        parts += [f"{escape(paired.scope)} {HOW_TO_READ}"]
        parts += [markdown_table(tables.pairs_table(paired))]
    else:
        parts += [_no_pairs(comparison)]
    if any(group.claims for group in comparison.groups):
        parts += ["## Claims", markdown_table(tables.claims_table(comparison.groups))]
    parts += ["## Runs", markdown_table(tables.runs_table(comparison.groups))]
    for title, said in _lists(comparison):
        parts += [f"## {title}", "\n".join(f"- {escape(one)}" for one in said)]
    return "\n\n".join(parts) + "\n"


def render_page(comparison: Comparison, drawing: Drawing | None) -> str:
    """The comparison as one HTML file that needs nothing beside it."""
    return render(
        "comparison.html.j2",
        headline=headline(comparison),
        main=tables.main_table(comparison.groups),
        claims=tables.claims_table(comparison.groups),
        pairs=tables.pairs_table(comparison.paired),
        runs=tables.runs_table(comparison.groups),
        scope=comparison.paired.scope,
        no_pairs=_no_pairs(comparison),
        how_to_read=HOW_TO_READ,
        lists=_lists(comparison),
        drawing=drawing,
        figure=data_uri(drawing.png) if drawing else "",
    )


def headline(comparison: Comparison) -> str:
    """How many runs in how many groups, and what the tests showed, in a sentence or two."""
    runs = count(sum(len(g.runs) for g in comparison.groups), "run")
    said = f"{runs} in {count(len(comparison.groups), 'group')}."
    pairs = comparison.paired.pairs
    if pairs:
        differ = sum(pair.said != NOT_SHOWN for pair in pairs)
        said += f" A difference in accuracy is shown in {differ} of {count(len(pairs), 'pair')}."
    return said


def _lists(comparison: Comparison) -> list[tuple[str, list[str]]]:
    found = [
        ("Pairs without a test", tables.refusals(comparison.paired)),
        ("Left out", tables.left_out(comparison)),
        ("Notes", tables.notes(comparison)),
    ]
    return [(title, said) for title, said in found if said]


def _no_pairs(comparison: Comparison) -> str:
    """Why there is no paired test at all; empty if there is one."""
    if comparison.paired.pairs:
        return ""
    if len(comparison.groups) < 2:
        return "There is one group: nothing to pair it with."
    return "No two groups could be paired; the reasons are below."
