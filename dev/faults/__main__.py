"""Do faults to the pipeline for real, and write down what became of it.

Each part works in copies of this repository, in a temporary folder, on a miniature run of the
embedded sample. A part that is run again replaces its rows in the results.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cardproof.files import write_text_atomic
from dev.faults import damage, disk, kills, together
from dev.faults.bench import STAGES, Bench, Outcome

Part = Callable[[Bench, argparse.Namespace], list[Outcome]]


def _disk(bench: Bench, options: argparse.Namespace) -> list[Outcome]:
    return disk.fill_in_stages(bench, ("split", "tokenize") if options.quick else STAGES)


def _disk_of_dvc(bench: Bench, options: argparse.Namespace) -> list[Outcome]:
    return [] if options.quick else disk.fill_under_dvc(bench)


def _damage(bench: Bench, options: argparse.Namespace) -> list[Outcome]:
    repaired = ("data/tokens/train/ids.npy",) if options.quick else damage.READ
    outcomes = damage.damage_workspace(bench, options.seed, repaired)
    outcomes += damage.damage_records(bench)
    if not options.quick:
        outcomes += damage.damage_cache(bench, options.seed) + damage.damage_checkpoint(bench)
    return outcomes


def _copies(bench: Bench, options: argparse.Namespace) -> list[Outcome]:
    return [] if options.quick else kills.interrupt(bench) + kills.kill_copies(bench)


def _together(bench: Bench, options: argparse.Namespace) -> list[Outcome]:
    return [] if options.quick else together.two_at_once(bench) + together.queue_of_two(bench)


def _again(bench: Bench, options: argparse.Namespace) -> list[Outcome]:
    mirror = os.environ.get("CARDPROOF_MIRROR")
    place = Path(mirror).absolute() if mirror else None
    return [] if options.quick else together.again_elsewhere(bench, place)


PARTS: dict[str, tuple[str, Part]] = {
    "kills": (
        "kill -9 at random moments of every stage",
        lambda bench, options: kills.kill_stages(bench, options.kills, options.seed),
    ),
    "copies": ("Ctrl-C; kill -9 in `dvc exp run --temp` and of a queue's worker", _copies),
    "disk": ("a stage on a disk that is full, and on one that is read-only (needs root)", _disk),
    "small": ("`dvc repro` on a disk too small for it (needs root)", _disk_of_dvc),
    "damage": ("flipped bits in files, in DVC's cache; a checkpoint cut short", _damage),
    "together": ("two `dvc repro` at once; a queue of two workers", _together),
    "again": ("the same run by --temp and by the queue (real reviews: CARDPROOF_MIRROR)", _again),
    "threads": (
        "other numbers of threads and of data workers",
        lambda bench, options: [] if options.quick else together.other_threads(bench),
    ),
}


def main() -> None:
    """Run the parts that are asked for, and write the table."""
    options = _parse()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)

    file = Path(f"{options.output}.json")
    results = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    with TemporaryDirectory(prefix="faults-", dir=options.scratch) as scratch:
        bench = Bench(Path(scratch), say)
        for name in options.parts:
            title, part = PARTS[name]
            say(f"{name}: {title}")
            if name in ("disk", "small") and (why := disk.why_not()):
                say(f"  skipped: it {why}")
                continue
            outcomes = part(bench, options)
            for outcome in outcomes:
                say(f"  {'survived' if outcome.survived else 'LOST'}: {outcome.fault}, "
                    f"{outcome.where}: {outcome.lost}")  # fmt: skip
            if outcomes:
                results[name] = _record(scratch, outcomes)
                write_text_atomic(file, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
                write_text_atomic(file.with_suffix(".md"), to_markdown(results))
    say(f"look at {file.with_suffix('.md')}")
    sys.exit(any(not o["survived"] for part in results.values() for o in part["outcomes"]))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dev.faults",
        description=__doc__
        + "\nparts:\n"
        + "\n".join(f"  {k:9} {t}" for k, (t, _) in PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  python -m dev.faults --kills 30 --seed 0  everything, half an hour\n"
        "  python -m dev.faults --quick                 6 kills and the cheapest of the rest\n"
        "  python -m dev.faults damage disk             two parts alone",
    )
    parser.add_argument("parts", nargs="*", help="parts to run; all by default")
    parser.add_argument("--kills", type=int, default=0, help="how many (30; 6 with --quick)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and bits (0)")
    parser.add_argument("--quick", action="store_true", help="what takes about a minute")
    parser.add_argument("--output", default="results/faults", help="results, less .md and .json")
    parser.add_argument("--scratch", help="where the copies go (the system's temporary folder)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    options.parts = options.parts or list(PARTS)
    options.kills = options.kills or (6 if options.quick else 30)
    return options


def _record(scratch: str, outcomes: list[Outcome]) -> dict[str, Any]:
    """A part's results with their circumstances; where this machine has its files is left out."""

    def shown(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return value.replace(scratch, "...").replace(f"{Path(sys.executable).parent}{os.sep}", "")

    rows = [{key: shown(value) for key, value in vars(o).items()} for o in outcomes]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": " ".join(["python -m dev.faults", *sys.argv[1:]]),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "software": ", ".join(
            [f"Python {platform.python_version()}"]
            + [f"{name} {version(name)}" for name in ("dvc", "torch", "transformers")]
        ),
        "outcomes": rows,
    }


def to_markdown(results: dict[str, Any]) -> str:
    """The page: a line for each part, then a table for each."""
    lines = ["# Faults", "", "Written by `make faults`. Each fault is done for real to a miniature"]
    lines += ["run of the embedded sample; it is survived if the next `dvc repro` ends with the"]
    lines += ["bytes of an undisturbed run, or, for what has to be refused, if the message names"]
    lines += ["what is wrong and what to do.", "", "| part | tried | survived | on | command |"]
    lines += ["|---|---|---|---|---|"]
    for name, part in results.items():
        survived = sum(o["survived"] for o in part["outcomes"])
        lines.append(
            f"| [{name}](#{name}) | {len(part['outcomes'])} | {survived} | {part['date']} "
            f"| `{part['command']}` |"
        )
    for name, part in results.items():
        lines += ["", f"## {name}", "", f"{PARTS[name][0]}. {part['machine']}; {part['software']}."]
        lines += ["", "| fault | where | survived | lost | said |", "|---|---|---|---|---|"]
        for o in part["outcomes"]:
            cells = (
                o["fault"],
                o["where"],
                "yes" if o["survived"] else "**no**",
                o["lost"],
                o["said"],
            )
            lines.append("| " + " | ".join(_cell(c) for c in cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()
