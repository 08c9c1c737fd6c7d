"""Faults done for real: processes killed, disks full, bits flipped. `make faults` does more."""

import errno
import importlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from voluptuous import Invalid

from cardproof.cli.verify import cut_off_records, damaged_objects, damaged_outputs
from cardproof.files import (
    DamagedError,
    FilesError,
    checksummed_folder,
    disk_errors,
    verify_checksums,
    working_folder,
)
from dev.faults import __main__ as command
from dev.faults import damage, disk, kills, together
from dev.faults.copies import Bench, Outcome
from dev.repository import ROOT


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("faults"))


def assert_survived(outcomes: Iterable[Outcome]) -> list[Outcome]:
    found = list(outcomes)
    assert found
    assert not [o for o in found if not o.survived]
    return found


def test_a_run_killed_three_times_ends_with_the_bytes_of_an_undisturbed_one(bench: Bench) -> None:
    found = assert_survived(kills.kill_stages(bench, 3))
    assert len(found) == 3
    assert any("from checkpoint-" in outcome.said for outcome in found)


def test_a_full_disk_and_a_read_only_one_are_named_and_cost_nothing(bench: Bench) -> None:
    if why := disk.why_not():
        pytest.skip(why)
    assert_survived(disk.fill_in_stages(bench, ["tokenize"]))


def test_a_flipped_bit_is_refused_and_what_the_message_says_fixes_it(bench: Bench) -> None:
    assert_survived(damage.damage_workspace(bench, repaired={"data/tokens/train/ids.npy"}))


def test_a_damaged_object_in_dvcs_cache_is_found_and_made_again(bench: Bench) -> None:
    assert_survived(damage.damage_cache(bench, ["data/tokens"]))


def test_dvc_runs_again_after_it_was_killed_as_it_wrote_its_records(bench: Bench) -> None:
    assert_survived(damage.damage_records(bench))


def test_a_run_that_ends_with_other_bytes_is_told(bench: Bench) -> None:
    assert bench.differing(bench.checksums) == []
    assert bench.differing(bench.checksums | {"model": "0" * 32}) == ["model"]
    assert bench.differing({p: s for p, s in bench.checksums.items() if p != "report"}) == [
        "report"
    ]


@pytest.mark.parametrize(
    ("kept", "text", "wrong", "survived", "lost"),
    [
        ({}, "Running stage 'split':", "", True, "split, run again"),
        ({}, "Running stage 'tokenize':", "", True, "nothing"),
        ({"data/split": "1", "metrics/split.json": "2"}, "Running stage 'split':", "", False,
         "repeated split"),
        ({}, "Running stage 'split':", "other bytes: model", False, "other bytes: model"),
    ],
)  # fmt: skip
def test_a_kill_is_judged_by_what_the_next_run_does(
    kept: dict[str, str], text: str, wrong: str, survived: bool, lost: str
) -> None:
    judged = kills.judge(Outcome("a kill", "split, 0.3 s", True, ""), kept, text, wrong)
    assert (judged.survived, judged.lost) == (survived, lost)


def test_other_bytes_with_other_threads_are_not_survived() -> None:
    same, other = {"a": b"1", "b": b"2"}, {"a": b"1", "b": b"3"}
    assert together.compare("threads", "split", [same, same, same]).survived
    changed = together.compare("threads", "split", [same, other, same])
    assert (changed.survived, changed.lost) == (False, "other bytes in b")
    assert not together.compare("threads", "split", [{}, {}]).survived


def test_the_committed_page_is_what_the_command_writes() -> None:
    results = json.loads(command.RESULTS.read_text(encoding="utf-8"))
    assert list(results) == list(command.PARTS)
    page = command.RESULTS.with_suffix(".md").read_text(encoding="utf-8")
    assert page == command.render(results)


@pytest.mark.parametrize("stage", ["split", "tokenize", "train", "evaluate", "report"])
def test_each_stage_checks_every_folder_that_it_reads(stage: str) -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    outs = [(next(iter(o)) if isinstance(o, dict) else o, s) for s in stages
            for o in stages[s]["outs"]]  # fmt: skip
    makers = {path: s for path, s in outs if "." not in Path(path).name}
    read = {dep: makers[dep] for dep in stages[stage]["deps"] if dep in makers}
    assert read == importlib.import_module(f"stages.{stage}").READS


def test_checksums_name_what_is_damaged_missing_or_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    with pytest.raises(DamagedError, match=r"tokens is not there.\n`dvc repro -f -s tokenize`"):
        verify_checksums(folder, "tokenize")
    with checksummed_folder(folder) as work:
        (work / "train").mkdir()
        for name in ("train/a", "train/b", "c"):
            (work / name).write_bytes(name.encode() * 99)
    verify_checksums(folder, "tokenize")
    damage.flip(folder / "train/a", random.Random(0))
    (folder / "c").unlink()
    with pytest.raises(DamagedError, match=r"expected sha256 [0-9a-f]{64}\n") as caught:
        verify_checksums(folder, "tokenize")
    for words in ("train/a is not as tokenize wrote it", "no file", "`dvc repro -f -s tokenize`"):
        assert words in str(caught.value)
    assert "train/b" not in str(caught.value)
    for text in ("{", "[]"):
        (folder / "sums.json").write_text(text)
        with pytest.raises(DamagedError, match=r"sums\.json cannot be read"):
            verify_checksums(folder, "tokenize")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),  # safetensors
        OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] ..."),  # Arrow
    ],
    ids=str,
)
def test_a_full_disk_is_told_whatever_library_met_it(tmp_path: Path, error: Exception) -> None:
    with (
        pytest.raises(FilesError, match=r"out: No space left on device.*make room"),
        disk_errors(tmp_path / "out"),
    ):
        raise error


def test_other_errors_are_left_alone(tmp_path: Path) -> None:
    for error in (RuntimeError("step 28"), FileNotFoundError(errno.ENOENT, "gone", "x")):
        with pytest.raises(type(error)) as caught, disk_errors(tmp_path):
            raise error
        assert caught.value is error


def test_what_a_killed_process_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = [tmp_path / f".out.{dead.pid}-00ff00ff.{kind}" for kind in ("new", "old")]
    living = tmp_path / f".out.{os.getpid()}-00ff00ff.new"
    for path in [*left, living]:
        path.mkdir()
        (path / "half.txt").write_text("half")
    with working_folder(tmp_path / "out") as work:
        (work / "whole.txt").write_text("whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [living.name, "out"]


def test_verify_finds_what_dvc_trusts(bench: Bench) -> None:
    folder = bench.copy_done("verified")
    cache = folder / ".dvc/cache/files/md5"
    assert not [*damaged_objects(cache), *damaged_outputs(folder, cache)]
    chance = random.Random(1)
    some = sorted(cache.glob("??/*"))[3]
    damage.flip(some, chance)
    damage.flip(folder / "upload/model.safetensors", chance)
    damage.flip(folder / "plots/roc.csv", chance)
    assert [d.path for d in damaged_objects(cache)] == [some]
    found = {d.path.relative_to(folder).as_posix() for d in damaged_outputs(folder, cache)}
    assert found >= {"upload/model.safetensors", "plots/roc.csv"}


def test_verify_names_every_lock_file_that_dvc_would_refuse(tmp_path: Path) -> None:
    text = (ROOT / "dvc.lock").read_text()
    ends = [i + 1 for i, letter in enumerate(text) if letter == "\n"]
    chance = random.Random(2)
    for cut in [*chance.sample(ends, 20), *chance.sample(range(1, len(text)), 20)]:
        (tmp_path / "dvc.lock").write_text(text[:cut])
        named = [d.path.name for d in cut_off_records(tmp_path)]
        assert not [*damaged_outputs(tmp_path, tmp_path)]
        try:
            COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text[:cut]))
            refused = False
        except (Invalid, YAMLError):
            refused = True
        assert named == (["dvc.lock"] if refused or cut not in ends else []), text[:cut][-90:]
    (tmp_path / "dvc.lock").write_text(text)
    assert not [*cut_off_records(tmp_path)]
