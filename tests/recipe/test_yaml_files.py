"""A file that was made to do harm is refused at once, by us and before DVC reads it."""

import re
import time
from itertools import pairwise
from pathlib import Path

import pytest

from cardproof import cli
from cardproof.recipe.yaml_files import MOST_BYTES, read_yaml
from tests.conftest import ROOT
from tests.recipe.test_load import copy_recipe_files

LEVELS = "abcdefghijkl"
BOMB = "card: sample\na: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise(LEVELS)
)
HOSTILE = {
    "alias bomb": (BOMB, r"line 3: \*a is an alias; write out what it stands for"),
    "itself": ("a: &a [*a]\n", r"line 1: \*a is an alias"),
    "merge": ("a: &a {b: 1}\nc: {<<: *a}\n", r"line 2: \*a is an alias"),
    "deep": ("a: " + "[" * 100_000, "line 1: nested more than 20 deep"),
    "deep keys": ("? " * 100_000, "line 1: nested more than 20 deep"),
    "long": ("a: " + "x" * MOST_BYTES, "262,147 bytes, more than 262,144"),
    "long number": ("a: " + "1" * 200_000, "not readable as YAML"),
    "code": ("a: !!python/object/apply:os.system [true]\n", "not readable as YAML"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_grows_or_nests_is_refused_quickly(tmp_path: Path, kind: str) -> None:
    content, words = HOSTILE[kind]
    path = tmp_path / "params.yaml"
    path.write_text(content)
    begun = time.process_time()
    with pytest.raises(ValueError, match=words):
        read_yaml(path)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("command", ["check", "plan", "compare", "verify", "share"])
def test_no_command_lets_dvc_read_such_a_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    copy_recipe_files(tmp_path)
    (tmp_path / "params.yaml").write_text(BOMB)
    monkeypatch.chdir(tmp_path)
    assert cli.main([command]) in (1, 2)
    said = capsys.readouterr().err
    assert "params.yaml: " in said
    assert "*a is an alias" in said


def test_make_repro_checks_the_file_before_dvc_reads_it() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^repro:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    first, second = recipe[1].splitlines()[:2]
    assert (first.strip(), second.strip()) == ("@cardproof check --quiet", "dvc repro")


def test_check_names_faults_and_deviations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_recipe_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check"]) == 0
    assert "no faults; deviates from the card in nothing" in capsys.readouterr().out
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace("  epochs:\n", "  epochs: 3\n"))
    assert cli.main(["check", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    text = params.read_text().replace("card: sample", "card: grojeda")
    params.write_text(text.replace("  precision:", "  precision: bf16", 1))
    assert cli.main(["check"]) == 0
    said = capsys.readouterr().out
    assert "deviates from the card in train.epochs; sets train.precision, which the card" in said
    params.write_text(text.replace("  epochs: 3\n", "  epochs: 0\n"))
    assert cli.main(["check"]) == 2
    assert "train.epochs: 0 must be greater than 0" in capsys.readouterr().err
