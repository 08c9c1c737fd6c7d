"""How right the audit is about real cards: `python -m dev.audit precision|survey|peers|page`.

precision prints what share of its findings is right, before and after, and how fast it is; survey
counts over the collection in ../shared; peers runs mlscorecheck and GRIM beside it; page writes
results/audit/README.md from what the two recorded and from tests/audit/labelled.csv.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from cardproof.files import write_json, write_text_atomic
from dev.audit.cards import COLLECTION, audited
from dev.audit.labelled import precision, read_labels
from dev.audit.page import render_page
from dev.audit.survey import survey

RESULTS = Path("results/audit")


def main() -> int:
    """Do one of the four; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.audit", description=__doc__)
    parser.add_argument("what", choices=("precision", "survey", "peers", "page"))
    what = parser.parse_args().what
    if what == "precision":
        _print_precision()
    elif what == "survey":
        write_json(RESULTS / "survey.json", survey(audited()))
    elif what == "peers":
        from dev.audit.peers import compare_peers  # needs mlscorecheck

        write_json(RESULTS / "peers.json", compare_peers())
    if what != "precision":
        write_text_atomic(RESULTS / "README.md", _page())
        print(RESULTS / "README.md")
    return 0


def _page() -> str:
    found, peers = (_read(RESULTS / f"{name}.json") for name in ("survey", "peers"))
    return render_page(found, peers, read_labels())


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _print_precision() -> None:
    labels = read_labels()
    for audit in ("before", "after"):
        for severity in ("error", "warning"):
            right, judged = precision(labels, audit, severity)
            print(f"{audit:6} {severity:7} {right:3} of {judged:3} right, {right / judged:.1%}")
    if COLLECTION.is_file():
        found = survey(audited())
        print(
            f"{found['cards']:,} cards: {found['cards_per_second']} a second on one core, the "
            f"slowest {found['slowest_seconds']} s"
        )


if __name__ == "__main__":
    raise SystemExit(main())
