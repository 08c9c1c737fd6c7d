"""results.json: a section for each part of the benchmark, kept until that part runs again."""

import json
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from cardproof.files import write_text_atomic
from dev.benchmarks.context import Context, Section
from dev.benchmarks.machine import describe_machine, describe_versions, load_average
from dev.benchmarks.spread import Spread

FILE = "results.json"
Results = dict[str, Any]  # by section


def read_results(folder: Path) -> Results:
    """What was measured before; empty if nothing was."""
    path = folder / FILE
    found: Results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def write_results(folder: Path, results: Results) -> None:
    """Write all sections, in their order."""
    text = json.dumps(rounded(results), indent=1, ensure_ascii=False, allow_nan=False)
    write_text_atomic(folder / FILE, text + "\n")


def rounded(value: Any) -> Any:
    """The same with six significant digits: what is left is noise."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    return value


def describe(section: Section, context: Context, begun: float, load: float) -> dict[str, Any]:
    """A section with where, when and on what it was measured.

    Args:
        section: what was found.
        context: what it was measured on.
        begun: `time.monotonic()` when it began.
        load: the load average then, of other work too.
    """
    return {
        "date": date.today().isoformat(),
        "took_seconds": round(time.monotonic() - begun),
        "load_before": load,
        "load_after": load_average(),
        "quick": context.quick,
        "reviews": context.inputs.name,
        "repeats": context.repeats,
        "machine": describe_machine(),
        "versions": describe_versions(),
        "settings": section.settings,
        "variants": section.variants,
    }


def figure_of(results: Results, section: str, variant: str, name: str) -> Spread | float | None:
    """A figure; None where it was not measured."""
    found: Spread | float | None = (
        results.get(section, {}).get("variants", {}).get(variant, {}).get(name)
    )
    return found


def middle(value: Spread | float) -> float:
    """The median of a spread, or the number itself."""
    return value["median"] if isinstance(value, dict) else value
