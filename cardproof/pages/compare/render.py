"""Markdown and one self-contained HTML page of a comparison."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from cardproof.pages.compare import tables
from cardproof.pages.compare.figure import Drawing
from cardproof.pages.compare.tables import Comparison, Table

TEMPLATES = Path(__file__).parent / "templates"
FIGURE = "comparison.png"
HOW_TO_READ = (
    "“Recipes differ” is said where two and more seeds of each were run and both intervals leave "
    "out zero, the one over seeds after Holm's correction. With a single seed it is these models "
    "that differ or not: McNemar's exact test of the two that are named, corrected likewise."
)


def render_markdown(comparison: Comparison, drawing: Drawing | None) -> str:
    """The comparison as Markdown; the figure is a file beside it."""
    parts = ["# Runs side by side", markdown_table(tables.main_table(comparison.groups))]
    if drawing:
        parts.append(f"![{_escape(drawing.alt)}]({FIGURE})\n\n{_escape(drawing.caption)}")
    parts += ["## Paired tests", _paired(comparison)]
    if any(group.claims for group in comparison.groups):
        parts += ["## Claims", markdown_table(tables.claims_table(comparison.groups))]
    parts += ["## Runs", markdown_table(tables.runs_table(comparison.groups))]
    for title, said in _lists(comparison):
        parts += [f"## {title}", "\n".join(f"- {_escape(one)}" for one in said)]
    return "\n\n".join(parts) + "\n"


def render_page(comparison: Comparison, drawing: Drawing | None) -> str:
    """The comparison as one HTML file that needs nothing beside it."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    environment.filters["breakable"] = _breakable
    encoded = base64.b64encode(drawing.png).decode() if drawing else ""
    return environment.get_template("page.html.j2").render(
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
        figure=f"data:image/png;base64,{encoded}",
    )


def headline(comparison: Comparison) -> str:
    """How many runs in how many groups, and what the tests showed, in a sentence or two."""
    runs, groups = sum(len(g.runs) for g in comparison.groups), len(comparison.groups)
    said = f"{_count(runs, 'run')} in {_count(groups, 'group')}."
    pairs = comparison.paired.pairs
    if pairs:
        differ = sum(pair.said != "not shown" for pair in pairs)
        said += f" A difference in accuracy is shown in {differ} of {_count(len(pairs), 'pair')}."
    return said


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}" + ("" if number == 1 else "s")


def _lists(comparison: Comparison) -> list[tuple[str, list[str]]]:
    found = [
        ("Pairs without a test", tables.refusals(comparison.paired)),
        ("Left out", tables.left_out(comparison)),
        ("Notes", tables.notes(comparison)),
    ]
    return [(title, said) for title, said in found if said]


def _paired(comparison: Comparison) -> str:
    paired = comparison.paired
    if not paired.pairs:
        return _no_pairs(comparison)
    return f"{_escape(paired.scope)} {HOW_TO_READ}\n\n{markdown_table(tables.pairs_table(paired))}"


def _no_pairs(comparison: Comparison) -> str:
    """Why there is no paired test at all; empty if there is one."""
    if comparison.paired.pairs:
        return ""
    if len(comparison.groups) < 2:
        return "There is one group: nothing to pair it with."
    return "No two groups could be paired; the reasons are below."


def markdown_table(table: Table) -> str:
    """A Markdown table with columns of even width, so that it also reads on a terminal."""
    lines = [[name for name, _ in table.columns], *table.rows]
    cells = [[_escape(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [kind == "number" for _, kind in table.columns]
    rule = ["-" * (w - 1) + ":" if n else "-" * w for w, n in zip(widths, numeric, strict=True)]
    printed = [_line(line, widths, numeric) for line in cells]
    return "\n".join([f"{table.caption}\n", printed[0], _line(rule, widths, numeric), *printed[1:]])


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    ]
    return f"| {' | '.join(padded)} |"


def _escape(text: str) -> str:
    """Text that Markdown takes for text: no tags, no cells, no links of its own.

    Backquotes stay: they set commands off in our sentences, and do no harm in others' names.
    """
    escaped = text.replace("\\", "\\\\").replace("&", "&amp;")
    escaped = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", escaped)
    for sign in "|[*":
        escaped = escaped.replace(sign, f"\\{sign}")
    return escaped


def _code(text: str) -> Markup:
    """Escaped text with what stands between backquotes as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _breakable(text: str) -> Markup:
    """Escaped text whose dotted keys may break after a point or an equals sign."""
    return Markup(re.sub(r"([.=])", r"\1<wbr>", str(escape(text))))
