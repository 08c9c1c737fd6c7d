"""Change the library in one place after another, and see whether its tests notice.

    python -m dev.mutants                     fifty changes of four rooms, an hour or two
    python -m dev.mutants --count 5 claims    five changes of one room

Each change is made in a copy of the repository, where the room's own quick tests then run. A change
that they do not notice is a test that is missing, or a place where both ways mean the same.
"""

import argparse
import ast
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from cardproof.files import write_text_atomic
from dev.benchmarks.page import table
from dev.repository import clean_environment, commit_all, copy_files

ROOMS = ("claims", "evaluation", "training", "data")
PATIENCE = 1500  # seconds for a room's tests: a change may make a loop endless
PAGE = Path("results/mutants.md")

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip


class Mutant(NamedTuple):
    """A change: the file, the line that it is in, that line before and after, the whole text."""

    path: Path
    line: int
    before: str
    after: str
    text: str


def main() -> None:
    """Draw changes, test each, and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m dev.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rooms", nargs="*", default=ROOMS, help="all four by default")
    parser.add_argument("--count", type=int, default=50, help="changes (50)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (0)")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="mutants-") as scratch:
        copy = commit_all(copy_files(Path(scratch)))
        for room in options.rooms:
            if not _tests_pass(copy, room):
                sys.exit(f"the tests of {room} fail without any change")
        rows = [_try(copy, m) for m in draw(copy, options.rooms, options.count, options.seed)]
    write_text_atomic(PAGE, render(rows, " ".join(sys.argv[1:])))


def draw(folder: Path, rooms: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """Draw changes out of all that there are, so that each place is as likely as another."""
    files = sorted(p for room in rooms for p in (folder / "cardproof" / room).rglob("*.py"))
    places = [(file, n) for file in files for n in range(len(list(_places(_parse(file)))))]
    drawn = random.Random(seed).sample(places, min(count, len(places)))
    return [_change(file, n, folder) for file, n in sorted(drawn)]


def render(rows: Sequence[tuple[str, str, str, str]], options: str) -> str:
    """The page: how many changes were noticed by room, and each of them."""
    tried = Counter(row[0].split("/")[1] for row in rows)
    noticed = Counter(row[0].split("/")[1] for row in rows if row[3] == "yes")
    shares = [(r, str(n), str(noticed[r]), f"{noticed[r] / n:.0%}") for r, n in tried.items()]
    parts = (
        "# Changes of the code that its tests notice",
        f"Written by `python -m dev.mutants {options}`: each change was made alone.",
        table(("room", "changes", "noticed", "share"), shares),
        table(("where", "before", "after", "noticed"), rows),
    )
    return "\n\n".join(parts) + "\n"


def _try(copy: Path, mutant: Mutant) -> tuple[str, str, str, str]:
    """Run the tests of a change's room; a row of the table."""
    room = mutant.path.parts[1]
    original = (copy / mutant.path).read_text(encoding="utf-8")
    (copy / mutant.path).write_text(mutant.text, encoding="utf-8")
    try:
        noticed = "no" if _tests_pass(copy, room) else "yes"
    finally:
        (copy / mutant.path).write_text(original, encoding="utf-8")
    before, after = (f"`{text.replace('|', chr(92) + '|')}`" for text in mutant[2:4])
    row = (f"{mutant.path.as_posix()}:{mutant.line}", before, after, noticed)
    print(*row, sep="  ", flush=True)
    return row


def _tests_pass(copy: Path, room: str) -> bool:
    """Whether a room's quick tests pass in the copy; too long counts as failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m",
               "not slow", f"tests/{room}"]  # fmt: skip
    environment = clean_environment(OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1")
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, timeout=PATIENCE, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _places(tree: ast.AST) -> Iterator[ast.AST]:
    """What can be changed, in the order of the text; annotations and texts are left out."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST):
                if _changed(node):
                    yield node
                yield from _places(node)


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
    before, line = ast.unparse(node), getattr(node, "lineno", 0)
    text = ast.unparse(ast.fix_missing_locations(_Replace(node, new).visit(tree)))
    return Mutant(file.relative_to(folder), line, before[:80], ast.unparse(new)[:80], text + "\n")


if __name__ == "__main__":
    main()
