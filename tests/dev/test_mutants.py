"""Changes of the code, to see whether its tests notice."""

import ast
import subprocess
import sys
from pathlib import Path

from dev.mutants import draw, render

CODE = '''"""A room."""

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


def test_the_page_counts_by_room() -> None:
    rows = [("cardproof/claims/a.py:3", "`<`", "`<=`", noticed) for noticed in ("yes", "no")]
    lines = render(rows, "--count 2").splitlines()
    assert any("".join(line.split()) == "|claims|2|1|50%|" for line in lines)


def test_it_says_what_it_does() -> None:
    command = [sys.executable, "-m", "dev.mutants", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "fifty changes of four rooms" in done.stdout
