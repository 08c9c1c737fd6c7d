"""A comparison's files: Markdown, one self-contained HTML page, CSV and the figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cardproof.csv_files import Value, write_csv
from cardproof.files import write_text_atomic
from cardproof.pages import comparison_tables as tables
from cardproof.pages.comparison_figure import Drawing, draw
from cardproof.pages.comparison_tables import Comparison
from cardproof.pages.drawing import inline_svg, svg_file
from cardproof.pages.forest import Strip, strips
from cardproof.pages.formats import count
from cardproof.pages.tables import Table, escape_markdown, markdown_table, table_records
from cardproof.pages.templates import render
from cardproof.runs.groups import Group
from cardproof.runs.paired import NOT_SHOWN

FIGURE = "comparison.svg"
HOW_TO_READ = (
    "“Recipes differ” is said where two and more seeds of each were run and p is below 0.05, over "
    "seeds and test rows together. Where a group has a single run, nothing is known of its other "
    "seeds: “these models differ” is then said of the trained models alone, over test rows."
)


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write Markdown, HTML, CSV and the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    drawing = draw(comparison.groups)
    if drawing:
        write_text_atomic(folder / FIGURE, svg_file(drawing.drawn.figure))
    else:
        (folder / FIGURE).unlink(missing_ok=True)  # of an earlier comparison
    write_text_atomic(folder / "comparison.md", render_markdown(comparison, drawing))
    write_text_atomic(folder / "comparison.html", render_page(comparison, drawing))
    written: dict[str, Sequence[Mapping[str, Value]]] = {
        "comparison": tables.group_rows(comparison.groups),
        "pairs": tables.pair_rows(comparison.paired),
        "runs": table_records(tables.runs_table(comparison.groups)),
    }
    for name, rows in written.items():
        columns = dict.fromkeys(column for row in rows for column in row)
        write_csv(folder / f"{name}.csv", list(columns), rows)


def render_markdown(comparison: Comparison, drawing: Drawing | None) -> str:
    """The comparison as Markdown; the figure is a file beside it."""
    parts = ["# Comparison of runs", markdown_table(tables.main_table(comparison.grouping))]
    if drawing:
        alt, caption = escape_markdown(drawing.drawn.alt), escape_markdown(drawing.caption)
        parts.append(f"![{alt}]({FIGURE})\n\n{caption}")
    for section in _sections(comparison):
        parts += [f"## {section.title}", escape_markdown(section.text)]
        parts += [markdown_table(section.table)] if section.table else []
        parts += ["\n".join(f"- {escape_markdown(one)}" for one in section.items)]
    return "\n\n".join(filter(None, parts)) + "\n"


def render_page(comparison: Comparison, drawing: Drawing | None) -> str:
    """The comparison as one HTML file that needs nothing beside it."""
    return render(
        "comparison.html.j2",
        headline=headline(comparison),
        main=tables.main_table(comparison.grouping),
        drawing=drawing,
        figure=inline_svg(drawing.drawn, "accuracy") if drawing else "",
        sections=_sections(comparison),
        level=comparison.groups[0].recipe.verdict.level,
    )


def _strips(groups: Sequence[Group]) -> list[Strip]:
    """Each claim that is comparable, under the name of its group."""
    return [
        replace(strip, name=f"{group.label}: {strip.name}", alt=f"{group.label}: {strip.alt}")
        for group in groups
        for strip in strips(group.claims)
        if strip.run
    ]


def headline(comparison: Comparison) -> str:
    """How many runs in how many groups, and what the tests showed, in a sentence or two."""
    runs = count(sum(len(g.runs) for g in comparison.groups), "run")
    said = f"{runs} in {count(len(comparison.groups), 'group')}."
    pairs = comparison.paired.pairs
    if pairs:
        differ = sum(pair.said != NOT_SHOWN for pair in pairs)
        said += f" A difference in accuracy is shown in {differ} of {count(len(pairs), 'pair')}."
    return said


@dataclass(frozen=True)
class _Section:
    title: str
    text: str = ""
    table: Table | None = None
    items: Sequence[str] = ()
    strips: Sequence[Strip] = ()  # of a forest plot, on the page alone


def _sections(comparison: Comparison) -> list[_Section]:
    """What stands below the figure: tests, claims, runs, and what was left out of them."""
    groups, paired = comparison.groups, comparison.paired
    if paired.pairs:
        text = f"{paired.scope} {HOW_TO_READ}"
        tests = _Section("Paired tests", text, tables.pairs_table(paired))
    else:
        one = "There is one group: nothing to pair it with."
        none = "No two groups could be paired; the reasons are below."
        tests = _Section("Paired tests", one if len(groups) < 2 else none)
    judged = [*tables.verdicts(groups), *tables.not_judged(groups)]
    lists = {
        "Pairs without a test": tables.refusals(paired),
        "Left out": tables.left_out(comparison),
        "Notes": tables.notes(comparison),
    }
    return [
        tests,
        *([_Section("Verdicts", items=judged, strips=_strips(groups))] if judged else []),
        *(_Section(title, items=said) for title, said in lists.items() if said),
        _Section("Runs", table=tables.runs_table(groups)),
    ]
