"""The embedded sample: what its scripts make, and what it promises to be."""

import pytest
from datasets import Dataset

from cardproof.data.reviews import read_reviews
from cardproof.data.splits import describe_splits
from tests.conftest import ROOT, Run

FOLDER = ROOT / "sample/hub/datasets/cardproof/sample-reviews/plain_text"


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    scratch = tmp_path_factory.mktemp("scratch")
    names = ("train", "test")
    return {n: read_reviews(FOLDER / f"{n}-00000-of-00001.parquet", scratch) for n in names}


def test_the_committed_reviews_are_what_the_script_makes(run: Run) -> None:
    done = run("python", "-m", "sample.make_reviews", "--check", cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_reviews_are_balanced_ordered_as_on_the_hub_and_of_the_promised_length(
    sets: dict[str, Dataset],
) -> None:
    for name, rows in (("train", 1200), ("test", 1000)):
        assert list(sets[name]["label"]) == [0] * (rows // 2) + [1] * (rows // 2)
        words = [len(text.split()) for text in sets[name]["text"]]
        assert min(words) >= 20
        assert max(words) <= 300


def test_repeats_are_there_for_the_analysis_to_find(sets: dict[str, Dataset]) -> None:
    facts = describe_splits(sets)
    assert facts["train_repeats"] == 3
    assert facts["test_in_train"] == 2
    text = " ".join([*sets["train"]["text"], *sets["test"]["text"]])
    assert [
        mark for mark in ("<br /><br />", "\u0085", "\u00a0", "\u2019", "é") if mark not in text
    ] == []


def test_the_base_is_small_and_in_safetensors() -> None:
    files = list((ROOT / "sample/hub/cardproof/sample-distilbert").iterdir())
    assert sum(f.stat().st_size for f in files) < 5_000_000
    assert {f.suffix for f in files} == {".json", ".safetensors", ".txt"}
