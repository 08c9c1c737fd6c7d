"""Compare runs: `cardproof compare REV...`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

EXIT_NOTHING = 1
EXIT_UNKNOWN = 2

_EPILOG = """\
examples:
  cardproof compare                    HEAD, its experiments and the workspace
  cardproof compare main wordy-asks    a branch and an experiment, by name
  cardproof compare --experiments v1   a tag, and the experiments started from it
  cardproof compare --everything       all experiments, whatever they started from
  cardproof compare $(dvc exp list --name-only)     HEAD's experiments without HEAD

Runs that differ in train.seed only form a group. It writes comparison.html, comparison.md,
comparison.csv, pairs.csv, runs.csv and comparison.svg, and prints the groups, the pairs and the
notes. Nothing is checked out and nothing is run. exit codes: 0 compared, 1 there is no run to
compare, 2 a revision or the repository is not there.
"""


def main(arguments: Sequence[str]) -> int:
    """Compare the revisions named on the command line; the exit code."""
    options = _parser().parse_args(arguments)
    from cardproof.runs.revisions import RevisionError

    try:
        return _compare(options)
    except RevisionError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_UNKNOWN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cardproof compare",
        description="Put runs side by side: figures, claims, verdicts and paired tests.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "revisions",
        nargs="*",
        metavar="REV",
        help="an experiment, branch, tag, commit or workspace",
    )
    parser.add_argument(
        "--experiments", action="store_true", help="also the experiments started from each REV"
    )
    parser.add_argument(
        "--everything", action="store_true", help="also all experiments of the repository"
    )
    parser.add_argument(
        "--all-pairs",
        action="store_true",
        help="test all pairs of groups; of more than ten, only those with the best are otherwise",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("comparison"), metavar="FOLDER",
        help="where to write (default: comparison)",
    )  # fmt: skip
    return parser


def _compare(options: argparse.Namespace) -> int:
    from cardproof.runs.revisions import find_revisions, open_repository, read_runs

    with open_repository() as repo:
        revisions, unfinished = find_revisions(
            repo,
            options.revisions,
            experiments=options.experiments,
            everything=options.everything,
        )
        runs, unread = read_runs(repo, revisions)
    left_out = [*unread, *unfinished]
    if not runs:
        print("error: there is no run to compare", file=sys.stderr)
        for one in left_out:
            print(f"  {one.name}: {one.reason}", file=sys.stderr)
        print("`dvc repro` or `dvc exp run` makes one", file=sys.stderr)
        return EXIT_NOTHING
    from cardproof.pages.comparison import write_comparison
    from cardproof.pages.comparison_tables import Comparison
    from cardproof.pages.comparison_text import render_text
    from cardproof.runs.groups import group_runs
    from cardproof.runs.paired import compare_groups

    grouping = group_runs(runs)
    paired = compare_groups(grouping.groups, all_pairs=options.all_pairs)
    comparison = Comparison(grouping, paired, left_out)
    write_comparison(comparison, options.out)
    print(render_text(comparison), end="\n\n")
    print(f"open {options.out / 'comparison.html'}: with the figure and the reason of each verdict")
    return 0
