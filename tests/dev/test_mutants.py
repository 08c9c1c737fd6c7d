"""Changes of the code, to see whether its tests notice."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from dev.mutants import Row, draw, equivalents, render
from dev.repository import ROOT

CODE = '''"""A package."""

def share(right: int, rows: int = 2) -> float:
    """Of what is right, 1 at most."""
    if not rows or right < 0:
        return 0.0
    return min(right / rows, 1)
'''
CHANGES = {
    ("0", "1"), ("0.0", "1.0"), ("1", "2"), ("2", "3"), ("not rows", "rows"),
    ("not rows or right < 0", "not rows and right < 0"), ("right / rows", "right * rows"),
    ("right < 0", "right <= 0"),
}  # fmt: skip


def test_every_change_is_one_that_runs_and_no_text_is_changed(tmp_path: Path) -> None:
    file = tmp_path / "cardproof/claims/share.py"
    file.parent.mkdir(parents=True)
    file.write_text(CODE)
    mutants = draw(tmp_path, ["claims"], 99, seed=3)
    assert {(m.before, m.after) for m in mutants} == CHANGES
    assert len(mutants) == len({m.text for m in mutants}) == len(CHANGES)
    original = ast.unparse(ast.parse(CODE)).splitlines()
    for mutant in mutants:
        changed = [a for a, b in zip(mutant.text.splitlines(), original, strict=True) if a != b]
        assert len(changed) == 1
        assert mutant.after in changed[0]
        assert CODE.splitlines()[mutant.line - 1].count(mutant.before) >= 1
    few = draw(tmp_path, ["claims"], 3, seed=3)
    assert few == draw(tmp_path, ["claims"], 3, seed=3) != draw(tmp_path, ["claims"], 3, seed=4)


@pytest.mark.parametrize(
    "code",
    [
        "raise ValueError(f'{2} of 3')", "fault = DataError('x', 1)", "print(1 + 1)",
        "assert right is not None", "x: Literal[1]", "f'{right:{3}}'", "zip(a, strict=True)",
        "def f(x: Literal[2]) -> Literal[3]: ...",
    ],
)  # fmt: skip
def test_what_tests_need_not_notice_is_left_alone(tmp_path: Path, code: str) -> None:
    file = tmp_path / "cardproof/data/some.py"
    file.parent.mkdir(parents=True)
    file.write_text(code)
    assert draw(tmp_path, ["data"], 99, seed=0) == []


def test_the_page_counts_by_package_and_equivalent_changes_neither_way() -> None:
    suites = ("make test", "make test", "make test-all", "equivalent", "invalid", "no")
    rows = [Row("cardproof/claims/a.py:3", "`<`", "`<=`", suite, "") for suite in suites]
    lines = ["".join(line.split()) for line in render(rows, 6, "--count 6").splitlines()]
    assert "|claims|6|4|2|3|75%|" in lines
    assert "|all|6|4|2|3|75%|" in lines


@pytest.mark.slow
def test_equivalent_changes_are_of_lines_that_are_there_and_have_a_reason() -> None:
    known = equivalents()
    for (file, line, before, after), reason in known.items():
        assert line in [text.strip() for text in (ROOT / file).read_text().splitlines()], file
        assert before != after
        assert reason
    packages = {file.split("/")[1] for file, *_ in known}
    made = {(str(m.path), *m[2:5]) for m in draw(ROOT, sorted(packages), 10_000, seed=0)}
    assert known.keys() <= made


def test_it_says_what_it_does() -> None:
    command = [sys.executable, "-m", "dev.mutants", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "fifty changes of four packages" in done.stdout
