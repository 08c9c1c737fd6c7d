"""All five cards through all six stages on the real reviews, in miniature.

In one process, one after the other: that DVC's queue runs stages, and downloads for five cards, is
tested in test_pipeline.py and data/test_traffic.py.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from dev.faults.copies import edit_params
from tests.conftest import ALL_STAGES, Run
from tests.recipe.test_load import CARDS

MINIATURE: dict[str, Any] = {
    "model": {"base": "sample"},
    "data": {"limit": 120},
    "train": {"max_steps": 4},
    "tokenize": {"max_length": 48},
}
EACH_CARD = f"""
from pathlib import Path
from dev.faults.copies import edit_params
for card in {tuple(CARDS)}:
    edit_params(Path(), {{"card": card}})
    exec({ALL_STAGES!r})
    kept = Path("kept", card)
    kept.mkdir(parents=True)
    for name in ("report", "upload", "metrics"):
        Path(name).rename(kept / name)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kept(make_repository: Callable[[], Path], run: Run, mirror: Path) -> Path:
    """What each card's run left: a folder of each, by the card's name."""
    folder = make_repository()
    edit_params(folder, MINIATURE)
    done = run("python", "-c", EACH_CARD, cwd=folder, mirror=mirror)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "kept"


@pytest.mark.parametrize("card", CARDS)
def test_each_card_runs_and_its_report_says_what_the_run_is(kept: Path, card: str) -> None:
    run = kept / card
    figures = json.loads((run / "metrics/summary.json").read_text())
    assert figures["steps"] == 4
    page = (run / "report/index.html").read_text()
    first = page[page.index('class="headline') :].splitlines()[0]
    assert "Not a reproduction" in first
    assert "model.base is sample" in first
    readme: Any = ModelCard.load(run / "upload/README.md")
    split = readme.data.eval_results[0].dataset_split
    assert split == ("train" if card == "llm_project" else "test")
    assert readme.data.license == CARDS[card][-1]
    labels = json.loads((run / "upload/config.json").read_text())["id2label"]
    assert list(labels.values()) == (CARDS[card][-2] or ["negative", "positive"])
    if card == "template":
        assert "XX.XX" not in re.sub(r"\| +XX\.XX% \|", "|", readme.text)  # but as the claim
        assert "left blank" in page


def test_without_weights_the_download_says_which_files_to_place_where(
    make_repository: Callable[[], Path], run: Run, mirror: Path
) -> None:
    folder = make_repository()
    edit_params(folder, {"card": "hansaht"})
    done = run("python", "-m", "stages.download", cwd=folder, mirror=mirror)
    assert done.returncode != 0
    assert "distilbert/distilbert-base-uncased/model.safetensors" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "data/base").exists()
