"""Measure this project beside what one would use without it, and write benchmarks/.

Sections, with about what they take on two cores:
  training    useful tokens a second of five variants, bare matrix products, memory   15 min
  inference   reviews a second of five variants, memory                                5 min
  profile     where a training step's time goes                                        2 min
  stages      dvc repro, its stages, a run of nothing, tokenizing all reviews          5 min
  growth      time and memory at 1, 2, 4 and 8 times the reviews                       9 min
  gpu         an epoch and all five recipes, where there is a GPU; untested

It wants the machine to itself: other work shows in every figure. Each section replaces its own
part of results.json; README.md and figure.png are then drawn anew from all of it.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cardproof.errors import CardproofError
from dev.benchmarks import figure, gpu, growth, inference, page, profile, stages, training
from dev.benchmarks.context import Context, Section
from dev.benchmarks.inputs import ROOT, find_inputs, sample_inputs
from dev.benchmarks.machine import describe_machine, describe_versions, load_average, usable_cores
from dev.benchmarks.record import describe, read_results, write_results

SECTIONS: dict[str, Callable[[Context], Section]] = {
    "training": training.measure,
    "inference": inference.measure,
    "profile": profile.measure,
    "stages": stages.measure,
    "growth": growth.measure,
    "gpu": gpu.measure,
}
EXAMPLES = """examples:
  python -m dev.benchmarks                         everything
  python -m dev.benchmarks training inference      these two
  python -m dev.benchmarks growth --million        a million reviews, too (some minutes more)
  python -m dev.benchmarks --quick                 does it work? small sizes, written elsewhere
  python -m dev.benchmarks --render                README.md and figure.png out of results.json
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the sections asked for and write what came of them."""
    options = _parser().parse_args(arguments)
    # Ended from outside, it ends what it started, as at Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = options.output or (_elsewhere() if options.quick else ROOT / "benchmarks")
    try:
        if not options.render:
            _measure(options, folder)
        _draw(folder)
    except CardproofError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted; the sections that were done are written")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dev.benchmarks",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="default: all of them")
    parser.add_argument("--quick", action="store_true", help="small sizes; figures mean nothing")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="default: %(default)s")
    parser.add_argument("--million", action="store_true", help="growth: a million reviews, too")
    parser.add_argument("--sample", action="store_true", help="the sample, also if IMDb is at hand")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default: benchmarks/")
    parser.add_argument("--render", action="store_true", help="measure nothing, draw anew")
    return parser


def _elsewhere() -> Path:
    """Where a quick run writes, so that it overwrites no real results."""
    return Path(tempfile.gettempdir()) / "cardproof-bench-quick"


def _measure(options: argparse.Namespace, output: Path) -> None:
    wanted = options.sections or list(SECTIONS)
    if unknown := [name for name in wanted if name not in SECTIONS]:
        raise CardproofError(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    if options.repeats < 1:
        raise CardproofError("--repeats must be at least 1")
    inputs = sample_inputs() if options.sample else find_inputs()
    print(f"machine: {', '.join(f'{k} {v}' for k, v in describe_machine().items())}")
    print(f"versions: {', '.join(f'{k} {v}' for k, v in describe_versions().items())}")
    print(f"reviews: {inputs.name} ({inputs.train.parent})")
    if load_average() > usable_cores() / 2:
        print(f"warning: load average {load_average():.1f}: other work will show in the figures")
    with tempfile.TemporaryDirectory(prefix="cardproof-bench-") as temporary:
        context = Context(
            inputs, options.quick, options.repeats, options.million, Path(temporary), print
        )
        for name in wanted:
            _measure_section(name, context, output)


def _measure_section(name: str, context: Context, output: Path) -> None:
    """Run a section; what was measured before in others stays."""
    begun, load = time.monotonic(), load_average()

    def note(text: str) -> None:
        print(f"[{name} {time.monotonic() - begun:5.0f} s] {text}", flush=True)

    folder = context.folder / name
    folder.mkdir()
    section = SECTIONS[name](replace(context, folder=folder, note=note))
    results = read_results(output)
    results[name] = describe(section, context, begun, load)
    write_results(output, {n: results[n] for n in SECTIONS if n in results})
    note("done")


def _draw(output: Path) -> None:
    results = read_results(output)
    (output / "README.md").write_text(page.render(results), encoding="utf-8")
    (output / "figure.png").write_bytes(figure.draw(results))
    print(f"written: {output / 'README.md'}, results.json, figure.png")


if __name__ == "__main__":
    main()
