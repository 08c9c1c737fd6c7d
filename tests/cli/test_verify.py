"""`cardproof verify` on a small repository of DVC's, made by hand."""

import json
from hashlib import md5
from pathlib import Path

import pytest

from cardproof.cli import main

LOCK = """\
schema: '2.0'
stages:
  train:
    cmd: python -m stages.train
    outs:
{outs}"""
OUT = "    - path: {path}\n      hash: md5\n      md5: {md5}\n      size: 1\n"


def digest(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def list_of(**files: str) -> str:
    """What DVC's cache notes of a folder."""
    return json.dumps([{"md5": digest(text), "relpath": name} for name, text in files.items()])


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new clone: dvc.lock names a file, two folders and run times, and only a metric is there."""
    from dvc.repo import Repo

    Repo.init(str(tmp_path), no_scm=True).close()
    outs = {
        "metrics/train.json": digest("{}"),
        "metrics/train_time.json": digest("1 s"),
        "model": digest(list_of(a="weights", b="vocabulary")) + ".dir",
        "data": digest(list_of(a="rows")) + ".dir",
    }
    lines = (OUT.format(path=path, md5=noted) for path, noted in outs.items())
    (tmp_path / "dvc.lock").write_text(LOCK.format(outs="".join(lines)))
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/train.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complete(clone: Path) -> None:
    """Make the outputs, and the cache's list of one of the folders."""
    for name, text in (("model/a", "weights"), ("model/b", "vocabulary"), ("data/a", "rows")):
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).write_text(text)
    listed = list_of(a="weights", b="vocabulary")
    kept = clone / ".dvc/cache/files/md5" / digest(listed)[:2] / f"{digest(listed)[2:]}.dir"
    kept.parent.mkdir(parents=True)
    kept.write_text(listed)


def test_a_new_clone_is_told_what_is_not_there(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify"]) == 3
    told = "2 outputs are not there (`dvc repro` makes what is missing); 0 damaged\n"
    assert capsys.readouterr().out == told
    complete(clone)
    (clone / "model/b").unlink()
    assert main(["verify"]) == 3
    assert capsys.readouterr().out.startswith("1 output is not there")


def test_run_times_are_not_compared(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    complete(clone)
    (clone / "metrics/train_time.json").write_text("2 s")
    assert main(["verify"]) == 0
    assert capsys.readouterr().out.startswith("every output in ")


@pytest.mark.parametrize("name", ["model/a", "data/a", "metrics/train.json"])
def test_a_damaged_file_is_named_and_removed_also_in_a_folder_that_the_cache_has_no_list_of(
    clone: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    complete(clone)
    (clone / name).write_text("damaged")
    assert main(["verify"]) == 1
    named = "data" if name == "data/a" else name
    assert capsys.readouterr().out.startswith(f"{clone / named}\n")
    assert main(["verify", "--remove"]) == 0
    assert not (clone / name).exists()
    assert main(["verify"]) == 3


def test_help_has_the_options_before_the_examples_and_every_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    told = capsys.readouterr().out
    assert told.index("options:") < told.index("examples:")
    assert "exit codes: 0 " in told
    with pytest.raises(SystemExit):
        main(["share", "--help"])
    assert "dvc remote add -d NAME URL" in capsys.readouterr().out
