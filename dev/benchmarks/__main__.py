"""Measure this project beside what one would use without it, and write dev/benchmarks/.

sections, with about what they take on two cores:
  training    useful tokens a second of five variants, bare matrix products, a profile  17 min
  inference   reviews a second of five variants                                          7 min
  stages      dvc repro of the sample, its stages, a run of nothing                      4 min
  growth      time and memory at 1, 2, 4 and 8 times the reviews, and on a million      12 min

It wants the machine to itself: other work shows in every figure. Each section replaces its own
part of results.json; README.md and figure.png are then written anew from all of it.
"""

import argparse
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path

from cardproof.errors import CardproofError
from dev.benchmarks import figure, page
from dev.benchmarks.bench import FULL, TINY, make_bench
from dev.benchmarks.results import circumstances, read_results, write_results

SECTIONS = ("training", "inference", "stages", "growth")
EXAMPLES = """examples:
  export CARDPROOF_MIRROR=/path/to/mirror           the real reviews; else the embedded sample's
  python -m dev.benchmarks                          everything
  python -m dev.benchmarks training inference       these two
  python -m dev.benchmarks --tiny --output /tmp/x   does it work? small sizes, written elsewhere
  python -m dev.benchmarks --page                   README.md and figure.png out of results.json
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the sections asked for and write what came of them."""
    parser = argparse.ArgumentParser(
        prog="python -m dev.benchmarks",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="default: all of them")
    parser.add_argument("--tiny", action="store_true", help="small sizes; figures mean nothing")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page anew")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, metavar="FOLDER",
                        help="default: dev/benchmarks")  # fmt: skip
    options = parser.parse_args(arguments)
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if options.tiny and options.output == Path(__file__).parent:
        parser.error("--tiny needs --output: its figures must not replace measured ones")
    try:
        for name in [] if options.page else options.sections or SECTIONS:
            _measure(name, options.tiny, options.output)
    except CardproofError as error:
        sys.exit(f"error: {error}")
    results = read_results(options.output)
    (options.output / "README.md").write_text(page.render(results), encoding="utf-8")
    (options.output / "figure.png").write_bytes(figure.draw(results))
    print(f"written: README.md and figure.png in {options.output}")


def _measure(name: str, tiny: bool, output: Path) -> None:
    """Run a section; what was measured before in others stays."""
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"warning: load average {load:.1f}: other work will show in the figures")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cardproof-bench-") as folder:
        bench = make_bench(TINY if tiny else FULL, Path(folder))
        print(f"{name}, on {bench.name}", flush=True)
        section = importlib.import_module(f"dev.benchmarks.{name}").measure(bench)
    results = read_results(output) | {name: circumstances(bench) | section}
    write_results(output, {n: results[n] for n in SECTIONS if n in results})
    print(f"{name}: done in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
