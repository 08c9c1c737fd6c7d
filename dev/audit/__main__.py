"""How right the audit is about real cards: `python -m dev.audit survey|page`.

survey counts over the collection in ../shared; page writes results/audit/README.md from that, from
tests/audit/labelled.csv and from peers.json, which mlscorecheck and GRIM beside the audit gave.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from cardproof.files import write_json, write_text_atomic
from dev.audit.cards import audited
from dev.audit.labelled import read_labels
from dev.audit.page import render_page
from dev.audit.survey import survey

RESULTS = Path("results/audit")


def main() -> int:
    """Do one of the two; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.audit", description=__doc__)
    parser.add_argument("what", choices=("survey", "page"))
    if parser.parse_args().what == "survey":
        write_json(RESULTS / "survey.json", survey(audited()))
    found, peers = (_read(RESULTS / f"{name}.json") for name in ("survey", "peers"))
    write_text_atomic(RESULTS / "README.md", render_page(found, peers, read_labels()))
    print(RESULTS / "README.md")
    return 0


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


if __name__ == "__main__":
    raise SystemExit(main())
