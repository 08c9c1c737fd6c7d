"""Change the library in one place after another, and see whether its tests notice.

    python -m dev.mutants                     fifty changes of four packages, an hour or less
    python -m dev.mutants --count 5 claims    five changes of one package

Each change is made in a copy of the repository, where the package's own tests then run: those of
`make test`, and where these notice nothing, the slow ones of `make test-all`. The test that noticed
a change must pass without it. A change that none notices is a test that is missing, or a place
where both ways mean the same: `dev/equivalent.csv` lists the latter, each with the reason. They
count neither for the tests nor against them.
"""

import argparse
import ast
import csv
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from cardproof.files import write_text_atomic
from dev.benchmarks.page import table
from dev.repository import ROOT, clean_environment, commit_all, copy_files

PACKAGES = ("claims", "evaluation", "training", "data")
SUITES = {"make test": "not slow", "make test-all": "slow"}  # tests by their marker
PATIENCE = 600  # seconds for a package's tests: a change may make a loop endless
PAGE = Path("results/mutants.md")
EQUIVALENT = Path("dev/equivalent.csv")
QUICK = 2.0  # seconds: tests that take no longer run first
TIMES = ROOT / ".dvc/tmp/mutants.json"  # seconds that each test took, by its name
UNSUPPORTED = "no such operation on these types"  # as where the / of a path becomes a *
NO_OPERATION = ("TypeError: unsupported operand", "TypeError: can't multiply sequence")

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip


class Mutant(NamedTuple):
    """A change: the file, the line that it is in, what it changes, the whole text after it."""

    path: Path
    line: int
    source: str  # of that line
    before: str
    after: str
    text: str


class Row(NamedTuple):
    """What came of a change: a row of the table."""

    where: str
    before: str
    after: str
    suite: str  # of `SUITES`, "equivalent", "invalid", or "no"
    by: str  # the test that noticed it, or why the change does not count


def main() -> None:
    """Draw changes, test each, and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m dev.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("packages", nargs="*", default=PACKAGES, help="all four by default")
    parser.add_argument("--count", type=int, default=50, help="changes (50)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (0)")
    options = parser.parse_args()
    _warm_up()
    rows: dict[Mutant, Row] = {}
    with TemporaryDirectory(prefix="mutants-") as scratch:
        copy = commit_all(copy_files(Path(scratch)))
        mutants = draw(copy, options.packages, options.count, options.seed)
        with suppress(KeyboardInterrupt):  # what was tried so far is a fair part of the draw
            for suite in SUITES:
                for mutant in mutants:
                    if mutant not in rows or rows[mutant].suite == "no":
                        rows[mutant] = _try(copy, mutant, suite)
        noticing = sorted({row.by for row in rows.values() if "::" in row.by})
        if noticing:  # in a process of their own, as anyone runs them
            subprocess.run([sys.executable, "-m", "pytest", "-q", *noticing], cwd=copy, check=True)
    write_text_atomic(PAGE, render(list(rows.values()), len(mutants), " ".join(sys.argv[1:])))


def draw(folder: Path, packages: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """Draw changes out of all that there are, so that each place is as likely as another."""
    library = folder / "cardproof"
    files = sorted(file for package in packages for file in (library / package).rglob("*.py"))
    places = [(file, n) for file in files for n in range(len(list(_places(_parse(file)))))]
    drawn = random.Random(seed).sample(places, min(count, len(places)))
    return [_change(file, n, folder) for file, n in drawn]


def render(rows: Sequence[Row], drawn: int, options: str) -> str:
    """The page: how many changes were noticed by package, and each of them."""
    found = {name: [r for r in rows if r.where.split("/")[1] == name] for name in PACKAGES}
    shares = [_shares(name, of_one) for name, of_one in found.items() if of_one]
    parts = (
        "# Changes of the code that its tests notice",
        f"Written by `python -m dev.mutants {options}`".rstrip(" `")
        + f"`: of {drawn} changes drawn, {len(rows)} were tried, each alone, and the package's own "
        "tests ran, without the real reviews. Left out of the draw are texts of errors and of "
        "what is printed, type hints, assertions and `strict=`. Changes that mean the same "
        "(judged by hand), and those that any run of the line fails at (a path times a path), "
        "count neither way.",
        table(
            ("package", "changes", "count", "by make test", "by make test-all", "share"),
            [*shares, _shares("all", rows)],
        ),
        table(("where", "before", "after", "noticed", "by, or why not"), sorted(rows)),
    )
    return "\n\n".join(parts) + "\n"


def _shares(name: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """A row of the first table; `make test-all` runs what `make test` runs, too."""
    count = Counter(row.suite for row in rows)
    quick, all_of_them = count["make test"], count["make test"] + count["make test-all"]
    judged = len(rows) - count["equivalent"] - count["invalid"]
    share = f"{all_of_them / judged:.0%}" if judged else ""
    counts = (len(rows), judged, quick, all_of_them)
    return (name, *map(str, counts), share)


def _warm_up() -> None:
    """Import what the tests import, once: each change's tests run in a fork of this process.

    Nothing of this repository stays loaded in it (`_run_tests`), and one thread is all there is.
    """
    settings = clean_environment(OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1")
    os.environ.clear()
    os.environ.update(settings)
    sys.dont_write_bytecode = True
    import datasets  # noqa: F401
    import scipy.stats
    import sklearn.metrics
    import torch
    import transformers

    torch.set_num_threads(1)
    assert all((scipy.stats.norm, sklearn.metrics.log_loss, transformers.Trainer))  # they are lazy


def _try(copy: Path, mutant: Mutant, suite: str) -> Row:
    """Run the tests of a change's package, the quick ones first."""
    by = equivalents().get((mutant.path.as_posix(), *mutant[2:5]), "")
    found = "equivalent" if by else "no"
    if not by:
        package = f"tests/{mutant.path.parts[1]}"
        original = (copy / mutant.path).read_text(encoding="utf-8")
        (copy / mutant.path).write_text(mutant.text, encoding="utf-8")
        by = _fork(copy, [package], SUITES[suite], mutant.path.stem)
        (copy / mutant.path).write_text(original, encoding="utf-8")
        found = "invalid" if by == UNSUPPORTED else suite if by else "no"
    before, after = (f"`{text.replace('|', chr(92) + '|')}`" for text in mutant[3:5])
    row = Row(f"{mutant.path.as_posix()}:{mutant.line}", before, after, found, by)
    print(*row, sep="  ", flush=True)
    return row


def equivalents() -> dict[tuple[str, ...], str]:
    """Changes that mean the same, by file, line, before and after: the reasons, judged by hand."""
    with (ROOT / EQUIVALENT).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {(r["file"], r["line"], r["before"], r["after"]): r["reason"] for r in rows}


def _fork(copy: Path, tests: Sequence[str], marker: str, stem: str) -> str:
    """Run tests in a fork: which failed first; empty if none did."""
    report = copy.with_name(f"{copy.name}.json")
    report.unlink(missing_ok=True)
    known = json.loads(TIMES.read_text(encoding="utf-8")) if TIMES.is_file() else {}
    arguments = (copy, tests, marker, _Tests(stem, known, report))
    process = multiprocessing.get_context("fork").Process(target=_run_tests, args=arguments)
    process.start()
    process.join(PATIENCE)
    endless = process.is_alive()
    with suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)  # it, or what its tests left running
    process.join()
    found: dict[str, Any] = {"failed": "", "times": {}}
    if report.is_file():
        found = json.loads(report.read_text(encoding="utf-8"))
        report.unlink()
    TIMES.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(TIMES, json.dumps(known | found["times"]))
    if endless:
        return "the limit of time"
    passed = process.exitcode in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
    crashed = (process.exitcode or 0) < 0
    return "" if passed else found["failed"] or ("a crash" if crashed else "the import")


def _run_tests(copy: Path, tests: Sequence[str], marker: str, plugin: "_Tests") -> None:
    """In a fork: run tests in the copy, with the copy's own modules."""
    os.setsid()
    os.chdir(copy)
    ours = ("cardproof", "dev", "sample", "stages", "tests")
    for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
        del sys.modules[name]
    sys.path.insert(0, str(copy))
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "-m", marker, *tests]
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        code = pytest.main(arguments, plugins=[plugin])
    sys.exit(code)


class _Tests:
    """A plugin of pytest: the quick tests first, the module's own before others; what failed."""

    def __init__(self, stem: str, times: dict[str, float], report: Path) -> None:
        self._stem, self._known, self._report = stem, times, report
        self._times: dict[str, float] = {}
        self._failed = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort by the times of earlier runs; what is not known is taken for quick."""

        def place(item: pytest.Item) -> tuple[bool, bool, float]:
            seconds = self._known.get(item.nodeid, 0.0)
            return seconds > QUICK, item.path.stem != f"test_{self._stem}", seconds

        items.sort(key=place)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long it took, and whether it failed."""
        self._times[report.nodeid] = self._times.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            invalid = any(words in report.longreprtext for words in NO_OPERATION)
            self._failed = self._failed or (UNSUPPORTED if invalid else report.nodeid)
        if report.when == "teardown":
            text = json.dumps({"failed": self._failed, "times": self._times})
            self._report.write_text(text, encoding="utf-8")


def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _places(tree: ast.AST) -> Iterator[ast.AST]:
    """What can be changed, in the order of the text; what tests need not notice is left out."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "format_spec"):
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST) and not _means_nothing(node):
                if _changed(node):
                    yield node
                yield from _places(node)


def _means_nothing(node: ast.AST) -> bool:
    """Errors' texts, what is printed, and checks of what the code takes for granted."""
    match node:
        case ast.Raise() | ast.Assert() | ast.keyword(arg="strict"):
            return True
        case ast.Call(ast.Name(id)):
            return id in ("print", "tqdm") or id.endswith("Error")
    return False


def _changed(node: ast.AST) -> ast.AST | None:
    """The node as it is after its change; None where there is none to make."""
    new: ast.AST | None = None
    match node:
        case ast.Compare(left, [op], right) if type(op) in _COMPARED:
            new = ast.Compare(left, [_COMPARED[type(op)]()], right)
        case ast.BinOp(left, op, right) if type(op) in _COMPUTED:
            new = ast.BinOp(left, _COMPUTED[type(op)](), right)
        case ast.BoolOp(op, values):
            new = ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not(), operand):
            new = operand
        case ast.Constant(bool() as value):
            new = ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            new = ast.Constant(value + 1)
    return new


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        """The new node in place of the old one."""
        return self.new if node is self.old else super().generic_visit(node)


def _change(file: Path, number: int, folder: Path) -> Mutant:
    """Make the change with that number in a file."""
    tree = _parse(file)
    node = list(_places(tree))[number]
    new = _changed(node)
    assert new is not None
    before, line = ast.unparse(node)[:80], getattr(node, "lineno", 0)
    with tokenize.open(file) as stream:
        source = stream.readlines()[line - 1].strip()
    text = ast.unparse(ast.fix_missing_locations(_Replace(node, new).visit(tree)))
    after = ast.unparse(new)[:80]
    return Mutant(file.relative_to(folder), line, source, before, after, text + "\n")


if __name__ == "__main__":
    main()
