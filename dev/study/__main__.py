"""Rebuild the pages and figures of results/ from the committed records: `python -m dev.study`.

The top-level README holds their summary between two comments.
"""

import argparse
import sys
from pathlib import Path

from cardproof.files import write_text_atomic
from dev.study.pages import render_results
from dev.study.record import RESULTS

TOP = Path("README.md")
BEGIN, END = "<!-- written by `make results` -->", "<!-- end of what it writes -->"


def main() -> int:
    """Write the page and its figures, or compare them with what is committed; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.study", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if they differ")
    check = parser.parse_args().check
    files, summary = render_results(RESULTS)
    pages = {RESULTS / name: content for name, content in files.items()}
    pages[TOP] = _with_summary(TOP.read_text(encoding="utf-8"), summary)
    differing = [p for p in pages if not p.is_file() or p.read_text(encoding="utf-8") != pages[p]]
    for path in differing:
        if check:
            print(f"{path} is not what the records say; `make results` writes it")
        else:
            write_text_atomic(path, pages[path])
            print(path)
    return int(check and bool(differing))


def _with_summary(page: str, summary: str) -> str:
    """The page with the summary between its two comments."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        sys.exit(f"error: {TOP} lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{summary}\n\n{END}{after}"


if __name__ == "__main__":
    sys.exit(main())
