"""All five cards through all six stages on the real reviews, through DVC's queue, in miniature."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from tests.conftest import PATIENCE, Run
from tests.recipe.test_load import CARDS

MINIATURE = ("model.base=minilm", "data.limit=120", "train.max_steps=4", "tokenize.max_length=48")

pytestmark = pytest.mark.slow


def queue_status(folder: Path, run: Run) -> str:
    return run("dvc", "queue", "status", cwd=folder).stdout


@pytest.fixture(scope="module")
def queued(make_repository: Callable[[], Path], run: Run, mirror: Path) -> Path:
    """A repository whose queue has run all five cards."""
    folder = make_repository()
    sets = [flag for change in MINIATURE for flag in ("-S", change)]
    cards = ["-S", f"card={','.join(CARDS)}"]
    for command in (
        ["dvc", "exp", "run", "--queue", *cards, *sets],
        ["dvc", "queue", "start"],
    ):
        done = run(*command, cwd=folder, mirror=mirror)
        assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + PATIENCE
    while "Queued" in (status := queue_status(folder, run)) or "Running" in status:
        assert time.monotonic() < deadline, status
        time.sleep(10)  # asking takes a second of a core that the runs need
    return folder


def test_the_queue_runs_all_five_cards(queued: Path, run: Run) -> None:
    shown = json.loads(run("dvc", "exp", "show", "--json", cwd=queued).stdout)
    runs = [
        revision["data"]
        for experiment in shown[1]["experiments"] or []
        for revision in experiment["revs"][:1]
    ]
    cards = {r["params"]["params.yaml"]["data"]["card"] for r in runs}
    status = queue_status(queued, run)
    assert cards == set(CARDS), status
    for done in runs:
        figures = done["metrics"]["metrics/summary.json"]["data"]
        assert figures["steps"] == 4


@pytest.mark.parametrize("card", CARDS)
def test_each_cards_report_says_what_the_run_is(queued: Path, run: Run, card: str) -> None:
    name = experiment_of(queued, run, card)
    applied = run("dvc", "exp", "apply", name, cwd=queued)
    assert applied.returncode == 0, applied.stderr
    page = (queued / "report/index.html").read_text()
    first = page[page.index('class="headline') :].splitlines()[0]
    assert "Not a reproduction" in first
    assert "model.base is minilm" in first
    readme: Any = ModelCard.load(queued / "upload/README.md")
    split = readme.data.eval_results[0].dataset_split
    assert split == ("train" if card == "llm_project" else "test")
    assert readme.data.license == CARDS[card][-1]
    labels = json.loads((queued / "upload/config.json").read_text())["id2label"]
    assert list(labels.values()) == (CARDS[card][-2] or ["negative", "positive"])
    if card == "template":
        assert "XX.XX" not in re.sub(r"\| +XX\.XX% \|", "|", readme.text)  # but as the claim
        assert "left blank" in page


def experiment_of(folder: Path, run: Run, card: str) -> str:
    shown = json.loads(run("dvc", "exp", "show", "--json", cwd=folder).stdout)
    for experiment in shown[1]["experiments"]:
        data = experiment["revs"][0]["data"]
        if data["params"]["params.yaml"]["data"]["card"] == card:
            return str(experiment["name"])
    raise AssertionError(f"no experiment of {card}")


def test_without_weights_the_download_says_which_files_to_place_where(
    make_repository: Callable[[], Path], run: Run, mirror: Path
) -> None:
    folder = make_repository()
    done: subprocess.CompletedProcess[str] = run(
        "dvc", "exp", "run", "-S", "card=hansaht", cwd=folder, mirror=mirror
    )
    assert done.returncode != 0
    assert "distilbert/distilbert-base-uncased/model.safetensors" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "data/base").exists()
