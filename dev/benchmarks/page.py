"""README.md of a set of results: every figure in it is one of results.json."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from tabulate import tabulate

HERE = Path(__file__).parent
# What is asked for, how much of it, in which unit, and the figure that shows it.
GOALS = list(csv.DictReader((HERE / "goals.csv").read_text(encoding="utf-8").splitlines()))

# What `stages` measured of imports when they were last taken away: to be shown beside today's.
IMPORTS_BEFORE = json.loads((HERE / "imports_before.json").read_text(encoding="utf-8"))


def render(results: Mapping[str, Any]) -> str:
    """The page of results.json."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=False,  # Markdown, of our own figures
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["show"] = show
    goals = judge(results)
    groups: dict[str, list[str]] = {}
    for name, section in results.items():
        groups.setdefault(_circumstances(section), []).append(name)
    profile = results.get("training", {}).get("figures", {}).get("profile", {})
    return environment.get_template("page.md.j2").render(
        **results,
        circumstances=groups,
        tiny=[name for name, section in results.items() if section["tiny"]],
        goals=goals,
        met=sum(goal[-1] == "met" for goal in goals),
        shares=[(g, show(share, percent)) for g, share in profile.items() if g != "step_seconds"],
        growth_table=_growth(results.get("growth")),
        stage_names={s: s for s in results.get("stages", {}).get("settings", {}).get("stages", [])},
        imports_table=_imports(results.get("stages")),
        imports_before=IMPORTS_BEFORE,
        table=table,
        variants=_variants,
    )


def judge(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Each goal in words, its limit, what was measured, and whether the median meets it."""
    return [
        (g["what"], f"{g['sense']} {g['limit']} {g['unit']}".strip(), *_verdict(results, g))
        for g in GOALS
    ]


def _verdict(results: Mapping[str, Any], goal: Mapping[str, str]) -> tuple[str, str]:
    if goal["section"] not in results:
        return "", "not measured"
    found = results[goal["section"]]["figures"][goal["variant"]][goal["figure"]]
    limit = float(goal["limit"])
    gap = (limit - _median(found)) * (1 if goal["sense"] == "at least" else -1)
    missed = f"missed by {gap / limit:.0%}" if limit else f"missed by {gap:g}"
    return show(found), "met" if gap <= 0 else missed


def _circumstances(section: Mapping[str, Any]) -> str:
    machine = section["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in section["versions"].items())
    return (
        f"{section['date']}, {machine['processor']} ({machine['instructions']}), "
        f"{machine['cores']} cores, {machine['memory_gib']:g} GiB, {machine['system']}; "
        f"{versions}; reviews of {section['reviews']}."
    )


def _variants(
    section: Mapping[str, Any], rows: Mapping[str, str], columns: Mapping[str, str]
) -> str:
    """A table with a row for each variant, in words, and a column for each of its figures."""
    figures = section["figures"]
    cells = [(w, *(show(figures[n][c]) for c in columns.values())) for n, w in rows.items()]
    return table(["", *columns], cells)


def _growth(section: Mapping[str, Any] | None) -> str:
    """Two rows for each step: its seconds and its memory."""
    if section is None:
        return ""
    rows = []
    for step, found in section["figures"].items():
        for what, unit, exponent in (
            ("seconds", "s", "exponent"),
            ("peak_anonymous_mib", "peak MiB", "memory_exponent"),
        ):
            cells = map(show, found[what].values())
            rows.append([f"{step.replace('_', ' ')}, {unit}", *cells, f"{found[exponent]:.2f}"])
    return table(["", *(f"{m}x" for m in section["settings"]["multiples"]), "exponent"], rows)


def _imports(section: Mapping[str, Any] | None) -> str:
    """A row for each stage: seconds of its imports before and now, and the largest of them."""
    if section is None:
        return ""
    rows = []
    for stage in section["settings"]["stages"]:
        found = section["figures"][stage]
        before = IMPORTS_BEFORE["import_seconds"].get(stage)
        largest = [f"{n} {show(s)}" for n, s in found.get("largest_imports", {}).items()]
        cells = (show(before) if before else "", show(found["import_seconds"]), ", ".join(largest))
        rows.append((stage, *cells))
    return table(["", "before, s", "now, s", "most of it, s"], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return str(tabulate(list(rows), head, tablefmt="github", disable_numparse=True))


def _median(value: Any) -> float:
    return float(value["median"] if isinstance(value, dict) else value)


def number(value: float) -> str:
    """Three significant digits; whole from a hundred on."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{value:.1%}"


def show(value: Any, form: Callable[[float], str] = number) -> str:
    """A figure: yes or no, a number, or a median with the range if there is one."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, dict) or value["low"] == value["high"]:
        return form(_median(value))
    return f"{form(value['median'])} [{form(value['low'])} to {form(value['high'])}]"
