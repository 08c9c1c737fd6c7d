"""A comparison for a terminal: the groups, the pairs and the notes, in lines that fit it."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase

from tabulate import tabulate

from cardproof.pages import comparison_tables as tables
from cardproof.pages.comparison import HOW_TO_READ, headline
from cardproof.pages.comparison_tables import Comparison
from cardproof.pages.tables import Table
from cardproof.runs.paired import MOST_GROUPS

WIDTH = 100  # columns
_SHOWN = ("group", "seeds", "accuracy", "claimed", "verdict", "loss")


def render_text(comparison: Comparison) -> str:
    """The comparison in lines of about 100 columns; long names become letters with a legend."""
    legend: list[str] = []
    main, pairs = _tables(comparison)
    if any(len(line) > WIDTH for line in f"{main}\n{pairs}".splitlines()):
        labels = [group.label for group in comparison.groups]
        names = dict(zip(labels, _short_names(len(labels)), strict=True))
        legend = [_wrapped(label, f"{short}  ") for label, short in names.items()]
        comparison = _renamed(comparison, names)
        main, pairs = _tables(comparison)
    notes = [_wrapped(note, "- ") for note in _notes(comparison)]
    parts = [headline(comparison), "\n".join(legend), main, pairs, "\n".join(notes)]
    return "\n\n".join(filter(None, parts))


def _short_names(count: int) -> Sequence[str]:
    """A, B, C and so on; numbers where there are more groups than letters."""
    fits = count <= len(ascii_uppercase)
    return ascii_uppercase[:count] if fits else [str(i + 1) for i in range(count)]


def _renamed(comparison: Comparison, names: Mapping[str, str]) -> Comparison:
    """The comparison with other names for its groups; what is in sentences keeps the old ones."""
    grouping, paired = comparison.grouping, comparison.paired
    groups = [replace(group, label=names[group.label]) for group in grouping.groups]
    pairs = [replace(one, a=names[one.a], b=names[one.b]) for one in paired.pairs]
    refused = [replace(one, a=names[one.a], b=names[one.b]) for one in paired.refused]
    return replace(
        comparison,
        grouping=replace(grouping, groups=groups),
        paired=replace(paired, pairs=pairs, refused=refused),
    )


def _tables(comparison: Comparison) -> tuple[str, str]:
    """The groups, and the pairs if any were tested."""
    paired = comparison.paired
    pairs = _text_table(tables.pairs_table(paired)) if paired.pairs else ""
    return _text_table(tables.main_table(comparison.grouping).only(*_SHOWN)), pairs


def _text_table(table: Table) -> str:
    names = [column.name for column in table.columns]  # a row: as headers, tabulate widens them
    align = ["right" if column.numeric else "left" for column in table.columns]
    text = tabulate([names, *table.rows], (), "plain", disable_numparse=True, colalign=align)
    head, *rows = text.splitlines()
    return "\n".join([head, "-" * max(map(len, [head, *rows])), *rows])


def _notes(comparison: Comparison) -> list[str]:
    """What a reader must know beside the tables."""
    groups, paired, shared = comparison.groups, comparison.paired, comparison.grouping.shared
    said = [f"all with {', '.join(shared)}"] if shared else []
    said += [f"{g.label}: {'; '.join(m)}" for g in groups if (m := tables.missing_figures(g))]
    said += tables.not_judged(groups)
    if len(groups) > MOST_GROUPS:
        said.append(paired.scope)
    if not all(pair.over_seeds for pair in paired.pairs):
        said.append(HOW_TO_READ)
    return said + tables.refusals(paired) + tables.left_out(comparison) + tables.notes(comparison)


def _wrapped(text: str, start: str) -> str:
    """Text in lines of `WIDTH`, the first after `start` and the others as far to the right."""
    indent = " " * len(start)
    return textwrap.fill(text, WIDTH, initial_indent=start, subsequent_indent=indent)
