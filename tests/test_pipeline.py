"""The pipeline on the embedded sample, as a user runs it: by DVC, in a fresh copy."""

import ast
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dev.faults.bench import experiment_sums, output_sums
from tests.conftest import ROOT, Run

STAGES = ("download", "split", "tokenize", "train", "evaluate", "report")
# Reads parameters, writes files, prints errors: decides nothing that a stage's outputs hold.
PLUMBING = {"cli", "errors", "files", "leftovers", "params", "tables"}


@pytest.fixture(scope="module")
def repository(make_repository: Callable[[], Path], run: Run) -> Path:
    """A copy in which `dvc repro` has run once, on a shortened sample."""
    folder = make_repository()
    done = run("dvc", "exp", "run", "-S", "train.max_steps=12", "-S", "data.limit=200", cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def outputs(folder: Path) -> dict[str, str]:
    """What dvc.lock says of every output: its path and sum."""
    lock = YAML(typ="safe").load(folder / "dvc.lock")
    return {out["path"]: out["md5"] for s in lock["stages"].values() for out in s.get("outs", [])}


@contextmanager
def edited(folder: Path, key: str, value: object) -> Iterator[None]:
    """params.yaml with another value for a dotted key, for a while."""
    params = folder / "params.yaml"
    original = params.read_text()
    yaml = YAML()
    loaded: Any = yaml.load(original)
    section = loaded
    *path, name = key.split(".")
    for part in path:
        section = section[part]
    assert name in section
    section[name] = value
    yaml.dump(loaded, params)
    try:
        yield
    finally:
        params.write_text(original)


def stale_after(folder: Path, run: Run, key: str, value: object) -> list[str]:
    """The stages that DVC would run again after an edit of params.yaml."""
    with edited(folder, key, value):
        return sorted(json.loads(run("dvc", "status", "--json", cwd=folder).stdout))


def test_a_run_leaves_every_output_and_a_repeat_does_nothing(repository: Path, run: Run) -> None:
    for path in outputs(repository):
        assert (repository / path).exists(), path
    again = run("dvc", "repro", cwd=repository)
    assert again.stdout.count("didn't change, skipping") == len(STAGES) + 1
    assert "Running stage" not in again.stdout


def test_metrics_are_flat_finite_json_and_hold_no_run_times(repository: Path) -> None:
    for path in (repository / "metrics").glob("*.json"):
        figures = json.loads(path.read_text(), parse_constant=pytest.fail)
        assert all(isinstance(value, int | float) for value in figures.values()), path
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


def test_only_what_depends_on_a_parameter_runs_again(repository: Path, run: Run) -> None:
    report_only = ["check", "report"]
    assert stale_after(repository, run, "cards.sample.claims.accuracy", "0.9") == report_only
    retrained = ["check", "evaluate", "report", "train"]
    assert stale_after(repository, run, "evaluate.batch_size", 8) == retrained
    assert stale_after(repository, run, "train.epochs", 3) == ["check", "report", "train"]
    cut = ["check", "evaluate", "report", "tokenize", "train"]
    assert stale_after(repository, run, "tokenize.max_length", 64) == cut
    assert stale_after(repository, run, "cards.grojeda.title", "another card") == ["check"]


@pytest.mark.parametrize(
    ("key", "value"), [("train.epochs", "0"), ("tokenize.max_length", "9999"), ("card", "nobody")]
)
def test_a_faulty_parameter_stops_before_any_output_is_touched(
    repository: Path, run: Run, key: str, value: str
) -> None:
    kept = outputs(repository).keys() - {"data/checked.txt"}  # the mark that there are no faults
    before = {p: (repository / p).stat().st_mtime_ns for p in kept}
    with edited(repository, key, int(value) if value.isdigit() else value):
        done = run("dvc", "repro", cwd=repository)
    assert done.returncode != 0
    assert value in done.stderr
    assert "Traceback" not in done.stderr
    assert {p: (repository / p).stat().st_mtime_ns for p in before} == before


def test_a_misspelt_override_is_refused(repository: Path, run: Run) -> None:
    done = run("dvc", "exp", "run", "-S", "train.epoch=3", cwd=repository)
    assert done.returncode != 0
    assert "epoch" in done.stderr


@pytest.mark.parametrize("way", ["repro", "exp run --temp", "exp run --queue"])
def test_a_second_run_in_another_folder_gives_the_same_bytes(
    repository: Path, make_repository: Callable[[], Path], run: Run, way: str
) -> None:
    other = make_repository()
    shutil.copy(repository / "params.yaml", other / "params.yaml")
    done = run("dvc", *way.split(), cwd=other)
    assert done.returncode == 0, done.stderr[-3000:]
    if way.endswith("queue"):
        run("dvc", "queue", "start", cwd=other)
        deadline = time.monotonic() + 200
        while not experiment_sums(other):
            assert time.monotonic() < deadline, run("dvc", "queue", "status", cwd=other).stdout
            time.sleep(1)
        run("dvc", "queue", "stop", cwd=other)
    found = [output_sums(other)] if way == "repro" else list(experiment_sums(other).values())
    assert found == [output_sums(repository)]


def test_what_if_and_what_changed(repository: Path, run: Run) -> None:
    few = ("-S", "data.limit=300")  # the question is what is shown, not what is learnt
    done = run("dvc", "exp", "run", "-S", "train.epochs=3", *few, cwd=repository)
    assert done.returncode == 0, done.stderr[-3000:]
    params = json.loads(run("dvc", "params", "diff", "--json", cwd=repository).stdout)
    assert params["params.yaml"]["train.epochs"] == {"old": None, "new": 3}
    shown = run("dvc", "exp", "show", "--csv", cwd=repository).stdout
    assert "accuracy" in shown
    assert run("dvc", "metrics", "diff", cwd=repository).returncode == 0
    plots = run("dvc", "plots", "diff", "HEAD", cwd=repository)
    assert plots.returncode == 0, plots.stderr
    page = (repository / "dvc_plots/index.html").read_text()
    for title in ("Training loss", "ROC", "Confusion", "Reliability"):
        assert title in page


@pytest.mark.parametrize("stage", ["check", *STAGES])
def test_each_stage_lists_the_code_it_runs(stage: str) -> None:
    listed = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"][stage]["deps"]
    code = {d for d in listed if d.startswith(("cardproof", "stages"))}
    files = {
        p for d in code for p in ([ROOT / d] if d.endswith(".py") else (ROOT / d).glob("**/*"))
    }
    imported = set(imports_of(ROOT / f"stages/{stage}.py"))
    assert imported == {p for p in files if p.suffix == ".py" and p.name != "__init__.py"}


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
        names = [module.with_suffix(".py")] + [module / f"{a.name}.py" for a in node.names]
        for name in names:
            if name.is_file() and not (name.parent.name == "cardproof" and name.stem in PLUMBING):
                yield from imports_of(name, seen)


@pytest.mark.parametrize("stage", ["check", "download", "split", "tokenize", "report"])
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


@pytest.mark.parametrize("stage", ["check", *STAGES])
def test_each_stage_has_a_help_page_with_an_example(stage: str, run: Run) -> None:
    done = run("python", "-m", f"stages.{stage}", "--help", cwd=ROOT)
    assert done.returncode == 0
    assert f"dvc repro {stage}" in done.stdout
