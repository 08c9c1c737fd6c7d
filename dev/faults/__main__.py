"""Inject faults into the pipeline, and write what became of it to results/faults.md.

Each part works in copies of this repository, in a temporary folder (TMPDIR names another place),
on a miniature run of the embedded sample. A part that is run again replaces its rows. With
CARDPROOF_MIRROR, `again` runs real reviews too. `disk` and `small` need root, to mount a disk.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cardproof.files import write_text_atomic
from dev.benchmarks.page import table
from dev.faults import damage, disk, hostile, kills, together
from dev.faults.copies import Bench, Outcome
from dev.repository import ROOT

RESULTS = ROOT / "results/faults.json"
PARTS: dict[str, tuple[str, tuple[Callable[[Bench], Iterator[Outcome]], ...]]] = {
    "kills": ("kill -9 at random moments of every stage", (kills.kill_stages,)),
    "copies": (
        "Ctrl-C; kill -9 in `dvc exp run --temp` and of a queue's worker",
        (kills.interrupt, kills.kill_temporary, kills.kill_worker),
    ),
    "disk": ("a stage on a full disk, and on a read-only one", (disk.fill_in_stages,)),
    "small": ("`dvc repro` on a disk too small for it", (disk.fill_under_dvc,)),
    "damage": (
        "flipped bits in files and in DVC's cache; a truncated checkpoint",
        (damage.damage_workspace, damage.damage_records, damage.damage_cache,
         damage.damage_checkpoint),
    ),
    "together": (
        "two `dvc repro` at once; a queue of two workers",
        (together.two_at_once, together.queue_of_two),
    ),
    "again": ("the same run by --temp and by the queue", (together.again_elsewhere,)),
    "hostile": (
        "parameters, own files, archives, hubs, checkpoints and variables made to do harm",
        (hostile.inject,),
    ),
    "threads": ("other numbers of threads and of data workers", (together.other_threads,)),
}  # fmt: skip
INTRODUCTION = """\
# Fault injection

Written by `make faults` (`python -m dev.faults --page` writes it again from
[faults.json](faults.json)). Each fault is done for real to a miniature run of the embedded sample;
it is survived if the next `dvc repro` ends with the bytes of an undisturbed run, or, for what has
to be refused, if the message names what is wrong and what to do.
"""


def main() -> None:
    """Run the parts that are asked for, and write the table."""
    options = _parse()
    results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
    lost = 0 if options.page else _inject(options.parts, options.seed, results)
    write_text_atomic(RESULTS.with_suffix(".md"), render(results))
    sys.exit(f"{lost} faults were not survived" if lost else 0)


def _inject(parts: Sequence[str], seed: int, results: dict[str, Any]) -> int:
    """Run parts and put them into the results; how many faults were not survived."""
    began, lost = time.monotonic(), 0
    with TemporaryDirectory(prefix="faults-") as scratch:
        bench = Bench(Path(scratch), seed)
        for name in parts:
            if name in ("disk", "small") and (why := disk.why_not()):
                print(f"{name} is skipped: it {why}")
                continue
            outcomes = []
            for outcome in (o for inject in PARTS[name][1] for o in inject(bench)):
                print(f"{time.monotonic() - began:6.0f} s  {outcome}", flush=True)
                outcomes.append(outcome)
                lost += not outcome.survived
            results[name] = _record(scratch, outcomes)
            text = json.dumps({n: results[n] for n in PARTS if n in results}, indent=1,
                              ensure_ascii=False)  # fmt: skip
            write_text_atomic(RESULTS, text + "\n")
    return lost


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dev.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="parts:\n"
        + "\n".join(f"  {name:9} {title}" for name, (title, _) in PARTS.items())
        + "\n\nexamples:\n  python -m dev.faults               everything, half an hour\n"
        "  python -m dev.faults damage disk   two parts alone",
    )
    parser.add_argument("parts", nargs="*", help="parts to run; all by default")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and bits (0)")
    parser.add_argument("--page", action="store_true", help="inject nothing, write the page anew")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    options.parts = options.parts or list(PARTS)
    return options


def _record(scratch: str, outcomes: list[Outcome]) -> dict[str, Any]:
    """A part's results with their circumstances; where this machine has its files is left out."""
    programs = f"{Path(sys.executable).parent}{os.sep}"
    rows = json.dumps([vars(outcome) for outcome in outcomes], ensure_ascii=False)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": " ".join(["python -m dev.faults", *sys.argv[1:]]),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "software": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("dvc", "torch", "transformers")),
        "outcomes": json.loads(rows.replace(scratch, "...").replace(programs, "")),
    }


def render(results: dict[str, Any]) -> str:
    """The page: a line for each part, then a table for each."""
    parts, sections = [], []
    for name, part in results.items():
        rows = [(o["fault"], o["where"], "yes" if o["survived"] else "**no**", o["lost"], o["said"])
                for o in part["outcomes"]]  # fmt: skip
        survived = str(sum(o["survived"] for o in part["outcomes"]))
        command = f"`{part['command']}`"
        parts.append((f"[{name}](#{name})", str(len(rows)), survived, part["date"], command))
        cells = [
            [" ".join(c.split()).replace("|", "\\|").replace("<", "&lt;") for c in r] for r in rows
        ]
        sections += [
            f"\n## {name}\n\n{PARTS[name][0]}. {part['machine']}; {part['software']}.\n",
            table(("fault", "where", "survived", "lost", "said"), cells),
        ]
    overview = table(("part", "tried", "survived", "on", "command"), parts)
    return "\n".join([INTRODUCTION, overview, *sections]) + "\n"


if __name__ == "__main__":
    main()
