"""The pipeline on the embedded sample, as a user runs it: by DVC, in a fresh copy."""

import ast
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from cardproof.files import sha256_of
from dev.faults.copies import experiment_checksums, file_bytes, output_checksums
from stages import download
from tests.conftest import ALL_STAGES, PATIENCE, ROOT, Run

STAGES = ("download", "split", "tokenize", "train", "evaluate", "report")
# What decides nothing that a stage's outputs hold: it reads the recipe, which is an input of its
# own, writes files and prints errors, and imports packages.
PLUMBING = {"recipe", "stage", "errors", "files", "csv_files", "imports", "text"}


def outputs(folder: Path) -> dict[str, str]:
    """What dvc.lock says of every output: its path and sum."""
    lock = YAML(typ="safe").load(folder / "dvc.lock")
    return {out["path"]: out["md5"] for s in lock["stages"].values() for out in s.get("outs", [])}


@contextmanager
def edited(folder: Path, key: str, value: object, name: str = "params.yaml") -> Iterator[None]:
    """A file with another value for a dotted key, for a while."""
    params = folder / name
    original = params.read_text()
    yaml = YAML()
    loaded: Any = yaml.load(original)
    section = loaded
    *path, last = key.split(".")
    for part in path:
        section = section[part]
    assert last in section
    section[last] = value
    yaml.dump(loaded, params)
    try:
        yield
    finally:
        params.write_text(original)


def stale_in(folder: Path) -> list[str]:
    """The stages that `dvc repro` would run."""
    with Repo(str(folder)) as repo:
        return sorted(repo.status())


def rerun_after(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    value: object,
    name: str = "params.yaml",
) -> list[str]:
    """The stages that run again after an edit of a file: `download` first, then what depends on it.

    It runs in this process; the later ones are asked for, not run.
    """
    monkeypatch.chdir(folder)
    with edited(folder, key, value, name):
        assert "download" in stale_in(folder)
        download.main()
        stale = stale_in(folder)
    download.main()
    assert stale_in(folder) == []
    return [stage for stage in stale if stage != "download"]


def test_a_run_leaves_every_output_and_a_repeat_does_nothing(repository: Path, run: Run) -> None:
    for path in outputs(repository):
        assert (repository / path).exists(), path
    again = run("dvc", "repro", cwd=repository)
    assert again.stdout.count("didn't change, skipping") == len(STAGES)
    assert "Running stage" not in again.stdout


def test_metrics_are_finite_json_and_hold_no_run_times(repository: Path) -> None:
    for path in (repository / "metrics").glob("*.json"):
        figures = json.loads(path.read_text(), parse_constant=pytest.fail)
        if path.stem == "summary":  # what DVC lists: flat, and two of its figures are words
            words = {key for key, value in figures.items() if isinstance(value, str)}
            assert words == {"verdict", "loss_verdict"}
            assert all(isinstance(v, int | float | str) for v in figures.values())
        timed = [key for key in figures if "seconds" in key]
        assert bool(timed) == ("time" in path.stem), path


def test_the_model_works_as_the_cards_say_to_use_it(repository: Path, run: Run) -> None:
    script = (
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline\n"
        "model = AutoModelForSequenceClassification.from_pretrained('upload')\n"
        "tokenizer = AutoTokenizer.from_pretrained('upload')\n"
        "inputs = tokenizer('Good ' * 900, return_tensors='pt', truncation=True, padding=True)\n"
        "label = model.config.id2label[int(model(**inputs).logits.softmax(dim=-1).argmax())]\n"
        "assert label in ('negative', 'positive'), label\n"
        "print(pipeline('sentiment-analysis', model='upload')('I loved it.')[0]['label'])\n"
    )
    done = run("python", "-c", script, cwd=repository)
    assert done.stdout.strip() in ("negative", "positive"), done.stderr[-2000:]
    assert not list((repository / "upload").glob("*.bin"))


def test_only_what_depends_on_a_parameter_runs_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value, expected in (
        ("evaluate.batch_size", 8, ["evaluate", "report", "train"]),
        ("train.epochs", 3, ["report", "train"]),
        ("train.epochs", 2, []),  # the card's own value
        ("tokenize.max_length", 64, ["evaluate", "report", "tokenize", "train"]),
        ("verdict.level", 0.9, ["report"]),
    ):
        assert rerun_after(repository, monkeypatch, key, value) == expected, key


def test_only_what_depends_on_a_card_runs_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, key, value, expected in (
        ("cards/sample.yaml", "claims.accuracy", "0.9", ["report"]),
        ("cards/sample.yaml", "train.seed", 1, ["report", "train"]),
        ("cards/grojeda.yaml", "claims.accuracy", "0.9", []),
        ("sources.yaml", "bases.minilm.max_positions", 256, []),
    ):
        assert rerun_after(repository, monkeypatch, key, value, name) == expected, (name, key)


FAULTS = [
    ("tokenize.max_length", 9999, "params.yaml"),
    ("claims.accuracy", "about 94", "cards/grojeda.yaml"),
    ("reviews.imdb.train.sha256", "z", "sources.yaml"),
]


def state(folder: Path) -> dict[str, int]:
    """Every file of every output, dvc.lock too, and when it was written."""
    files = [
        p
        for out in [*outputs(folder), "dvc.lock"]
        for p in ([folder / out] if (folder / out).is_file() else (folder / out).rglob("*"))
    ]
    assert len(files) > len(STAGES)
    return {str(p): p.stat().st_mtime_ns for p in files if p.is_file()}


@pytest.mark.parametrize(("key", "value", "name"), FAULTS)
def test_a_fault_anywhere_stops_before_any_output_is_touched(
    repository: Path, run: Run, key: str, value: object, name: str
) -> None:
    before = state(repository)
    with edited(repository, key, value, name):
        done = run("dvc", "repro", cwd=repository)
    assert done.returncode != 0
    assert f"{name}: " in done.stderr
    assert str(value) in done.stderr
    assert "Traceback" not in done.stderr
    assert state(repository) == before
    assert stale_in(repository) == []


@pytest.mark.slow
@pytest.mark.parametrize("way", ["exp run", "exp run --queue"])
def test_a_fault_is_refused_in_experiments_too(repository: Path, run: Run, way: str) -> None:
    params = (repository / "params.yaml").read_text()
    before = {path: sha256_of(Path(path)) for path in state(repository)}
    done = run("dvc", *way.split(), "-S", "train.epochs=-1", cwd=repository)
    said = done.stderr
    if way.endswith("queue"):
        run("dvc", "queue", "start", cwd=repository)
        deadline = time.monotonic() + PATIENCE
        while "Failed" not in (status := run("dvc", "queue", "status", cwd=repository).stdout):
            assert time.monotonic() < deadline, status
            time.sleep(1)
        run("dvc", "queue", "stop", cwd=repository)
        logs = (repository / ".dvc/tmp/exps").rglob("*.out")
        said = "".join(path.read_text(errors="replace") for path in logs)
        run("dvc", "queue", "remove", "--all", cwd=repository)
    (repository / "params.yaml").write_text(params)  # where `exp run` leaves the faulty value
    assert "train.epochs: -1 must be greater than 0" in " ".join(said.split()), said[-2000:]
    # `exp run` writes anew what Git tracks: what counts is that the content is the same
    assert {path: sha256_of(Path(path)) for path in state(repository)} == before


def test_a_misspelt_override_is_refused(repository: Path, run: Run) -> None:
    done = run("dvc", "exp", "run", "-S", "train.epoch=3", cwd=repository)
    assert done.returncode != 0
    assert "epoch" in done.stderr


@pytest.mark.slow
def test_the_queue_in_another_folder_gives_the_same_bytes(
    repository: Path, make_repository: Callable[[], Path], run: Run
) -> None:
    other = make_repository()
    shutil.copy(repository / "params.yaml", other / "params.yaml")
    for command in (["exp", "run", "--queue"], ["queue", "start"]):
        done = run("dvc", *command, cwd=other)
        assert done.returncode == 0, done.stderr[-3000:]
    deadline = time.monotonic() + PATIENCE
    while not (found := experiment_checksums(other)):
        assert time.monotonic() < deadline, run("dvc", "queue", "status", cwd=other).stdout
        time.sleep(1)
    run("dvc", "queue", "stop", cwd=other)
    assert list(found.values()) == [output_checksums(repository)]


@pytest.mark.slow
def test_a_second_run_without_dvc_gives_the_same_bytes(
    repository: Path, make_repository: Callable[[], Path], run: Run
) -> None:
    other = make_repository()
    shutil.copy(repository / "params.yaml", other / "params.yaml")
    done = run("python", "-c", ALL_STAGES, cwd=other)
    assert done.returncode == 0, done.stderr[-3000:]
    paths = sorted(outputs(repository))
    found, expected = file_bytes(other, paths), file_bytes(repository, paths)
    assert len(found) > len(STAGES)
    assert [path for path in found if found[path] != expected[path]] == []
    assert found.keys() == expected.keys()


@pytest.mark.slow
def test_what_if_and_what_changed(repository: Path, run: Run) -> None:
    done = run("dvc", "exp", "run", "-S", "train.epochs=3", cwd=repository)
    assert done.returncode == 0, done.stderr[-3000:]
    params = json.loads(run("dvc", "params", "diff", "--json", cwd=repository).stdout)
    assert params["params.yaml"]["train.epochs"] == {"old": None, "new": 3}
    shown = run("dvc", "exp", "show", "--csv", cwd=repository).stdout.splitlines()[0].split(",")
    first = [name for name in shown if name in ("accuracy", "claimed", "verdict", "loss", "f1")]
    assert shown.index(first[0]) + 5 == shown.index(first[-1]) + 1  # side by side
    assert shown.index(first[-1]) < shown.index("train.epochs")
    changed = run("dvc", "metrics", "diff", "HEAD", cwd=repository)
    assert changed.returncode == 0
    assert len(changed.stdout.splitlines()) <= 20
    plots = run("dvc", "plots", "diff", "HEAD", cwd=repository)
    assert plots.returncode == 0, plots.stderr
    page = (repository / "dvc_plots/index.html").read_text()
    drawn = re.findall(r'"title": {"text": "([^"]+)"', page)
    assert len(drawn) == len(set(drawn)) == 8  # each once, and no other
    assert {"Training loss", "ROC", "Confusion", "Reliability"} < set(drawn)


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_depends_on_the_packages_whose_code_it_runs(stage: str) -> None:
    deps = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"][stage]["deps"]
    listed = {d for d in deps if d.startswith(("cardproof", "stages"))}
    found = {package_of(path) for path in imports_of(ROOT / f"stages/{stage}.py")}
    plumbing = {"cardproof/recipe"} if stage != "download" else set()  # which writes it
    assert listed == {package for package in found if package} - plumbing


def package_of(path: Path) -> str:
    """What dvc.yaml lists for a module: its package, or itself if it is a stage's."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "stages":
        return "/".join(parts)
    return "" if parts[1].removesuffix(".py") in PLUMBING - {"recipe"} else "/".join(parts[:2])


def imports_of(path: Path, seen: set[Path] | None = None) -> Iterator[Path]:
    """The project's modules that a file imports, directly or not, itself first."""
    seen = set() if seen is None else seen
    if path in seen:
        return
    seen.add(path)
    yield path
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("cardproof"):
            continue
        module = ROOT / (node.module or "").replace(".", "/")
        for name in [module.with_suffix(".py")] + [module / f"{a.name}.py" for a in node.names]:
            if name.is_file():
                yield from imports_of(name, seen)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["download", "split", "tokenize", "report"])
def test_only_the_stages_that_compute_with_torch_import_it(
    repository: Path, run: Run, stage: str
) -> None:
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['stages.{stage}']\n"
        f"runpy.run_module('stages.{stage}', run_name='__main__')\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    done = run("python", "-c", script, cwd=repository)
    assert done.returncode == 0, done.stderr[-2000:]


LIGHT = {
    "models": """
        from cardproof.model.loading import import_transformers
        import_transformers()
        assert 'transformers.trainer' in sys.modules
        assert not {'datasets', 'scipy', 'pandas', 'sklearn', 'boto3'} & sys.modules.keys()
        import datasets, scipy.special  # others may
    """,
    "pages": """
        import cardproof.pages.report
        assert 'huggingface_hub.hf_api' not in sys.modules
    """,
    "scores": """
        import numpy as np
        from cardproof.evaluation.metrics import score
        assert score(np.array([0, 1]), np.eye(2))['accuracy'] == 1
        assert 'sklearn.metrics' in sys.modules
        assert 'pandas' not in sys.modules
        import pandas
    """,
}


@pytest.mark.slow
@pytest.mark.parametrize("what", LIGHT)
def test_what_is_imported_leaves_out_what_it_need_not_use(what: str, run: Run) -> None:
    done = run("python", "-c", "import sys\n" + dedent(LIGHT[what]), cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_has_a_help_page_with_an_example(stage: str, run: Run) -> None:
    done = run("python", "-m", f"stages.{stage}", "--help", cwd=ROOT)
    assert done.returncode == 0
    assert f"dvc repro {stage}" in done.stdout
