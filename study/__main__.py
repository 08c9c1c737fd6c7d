"""Rebuild results/README.md and its figures from the committed records: `python -m study`."""

import argparse
import sys
from pathlib import Path

from cardproof.files import write_text_atomic
from study.pages import render_results

RESULTS = Path("results")


def main() -> int:
    """Write the page and its figures, or compare them with what is committed; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m study", description=(__doc__ or "").partition(":")[0] + "."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if they differ")
    options = parser.parse_args()
    pages = render_results(RESULTS)
    if options.check:
        differing = [name for name, new in pages.items() if _read(RESULTS / name) != new]
        print("\n".join(f"results/{name} is not what its records say" for name in differing))
        return 1 if differing else 0
    for name, content in pages.items():
        write_text_atomic(RESULTS / name, content)
        print(f"results/{name}")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
