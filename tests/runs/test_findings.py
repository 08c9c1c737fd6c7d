"""A run's files read and analysed once, without holding its texts."""

import dataclasses
import tracemalloc
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import numpy as np
import pytest
from sklearn.metrics import f1_score

from cardproof.evaluation import error_analysis
from cardproof.recipe.identity import IdentityError
from cardproof.runs import findings
from cardproof.runs.findings import find, read_outputs
from cardproof.runs.reading import UnavailableError
from cardproof.runs.scored_reviews import read_scored_reviews, read_texts
from stages.report import main
from tests.recipe.files import recipe_of
from tests.runs.made import outputs_of, write_outputs

TEXTS = {
    "train": [f"Training {i}." for i in range(100)],
    "validation": [f"Validation {i}." for i in range(100)],
    "test": ["Training 1.", "Validation 2.", *(f"Test {i}." for i in range(97)), "Test 0."],
}


def test_a_run_is_read_with_its_duplicates_lengths_and_validation_rows(tmp_path: Path) -> None:
    made = outputs_of(recipe_of("grojeda"))
    write_outputs(tmp_path, made, TEXTS)
    read = read_outputs(tmp_path)
    assert dict(read.run.metrics) == dict(made.run.metrics)
    assert (read.run.recipe, read.epochs, read.curve) == (made.run.recipe, made.epochs, made.curve)
    assert np.array_equal(read.scored.logits, made.scored.logits)
    assert read.validation and made.validation
    assert np.array_equal(read.validation.logits, made.validation.logits)
    assert np.flatnonzero(read.reviews.in_train).tolist() == [0]
    assert read.reviews.in_validation is not None
    assert np.flatnonzero(read.reviews.in_validation).tolist() == [1]
    assert np.flatnonzero(read.reviews.repeated).tolist() == [99]
    assert np.array_equal(read.reviews.lengths, made.reviews.lengths)
    assert np.array_equal(read.reviews.full_lengths, made.reviews.full_lengths)
    assert read.texts_of([99, 0]) == ["Test 0.", "Training 1."]


@pytest.mark.parametrize("card", ["llm_project", "hansaht", "deepaxion"])
def test_a_run_without_other_validation_rows_has_none(tmp_path: Path, card: str) -> None:
    made = outputs_of(recipe_of(card))
    write_outputs(tmp_path, made, TEXTS)
    read = read_outputs(tmp_path)
    assert (read.validation, read.reviews.in_validation) == (None, None)


def test_predictions_of_other_rows_are_refused(tmp_path: Path) -> None:
    made = outputs_of(recipe_of("grojeda"))
    other = dataclasses.replace(made.scored, rows=made.scored.rows[::-1])
    write_outputs(tmp_path, dataclasses.replace(made, scored=other), TEXTS)
    with pytest.raises(IdentityError, match="is of other rows than data/split/test"):
        read_outputs(tmp_path)
    (tmp_path / "data/recipe/report.json").write_text("{}")
    with pytest.raises(UnavailableError, match=r"report\.json is of another version"):
        read_outputs(tmp_path)


def test_the_report_analyses_and_judges_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole stage: page, figures, model card and metrics."""
    write_outputs(tmp_path, outputs_of(recipe_of("hansaht")), TEXTS)
    monkeypatch.chdir(tmp_path)
    once = {
        findings: ("analyse", "judge_claims", "check_claims", "score_intervals", "read_run",
                   "read_scored_reviews", "read_texts"),
        error_analysis: ("calibration", "selective_curve", "find_label_issues", "length_buckets",
                         "most_confident_errors", "duplicate_effects"),
    }  # fmt: skip
    spies = {
        name: monkeypatch_spy(monkeypatch, module, name)
        for module, names in once.items()
        for name in names
    }
    main()
    assert {name: spy.call_count for name, spy in spies.items()} == dict.fromkeys(spies, 1)
    assert "accuracy: claimed 0.9329" in capsys.readouterr().out
    for path in ("report/index.html", "upload/README.md", "metrics/summary.json"):
        assert (tmp_path / path).is_file()


def monkeypatch_spy(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> Mock:
    spy = Mock(wraps=getattr(module, name))
    monkeypatch.setattr(module, name, spy)
    return spy


def test_texts_are_not_held(tmp_path: Path) -> None:
    """Rows of 4 kB, 40 MB in each set: a batch is held at once, and a key of each row."""
    rows = 10_000
    texts = {
        name: [f"{name} {i} " + "x" * 4_000 for i in range(rows)] for name in ("train", "test")
    }
    made = outputs_of(recipe_of("grojeda"))
    write_outputs(tmp_path, dataclasses.replace(made, scored=made.scored), texts)
    lengths = np.full(rows, 5)
    for name, array in (("full_lengths", lengths), ("offsets", np.arange(rows + 1) * 5)):
        np.save(tmp_path / f"data/tokens/test/{name}.npy", array)
    del texts
    tracemalloc.start()
    found = read_scored_reviews(tmp_path, "test", np.arange(rows), None)
    assert read_texts(tmp_path, "test", [9_999, 3])[1].startswith("test 3 xxx")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not found.in_train.any()
    assert peak < 12e6  # a batch of 1,000 texts is 4 MB


def test_intervals_over_rows_hold_the_score_and_match_a_plain_bootstrap() -> None:
    outputs = outputs_of(recipe_of("grojeda"))
    run, labels, logits = outputs.run, outputs.scored.labels, outputs.scored.logits
    intervals = find(outputs).intervals
    for key, interval in intervals.items():
        figure = run.metrics[f"evaluate.{key}"]
        assert interval.low <= figure <= interval.high, key
    random = np.random.default_rng(1)
    drawn = random.integers(len(labels), size=(2_000, len(labels)))
    said = logits.argmax(axis=1)
    plain = [f1_score(labels[rows], said[rows], average="macro") for rows in drawn]
    low, high = np.quantile(plain, [0.025, 0.975])
    assert intervals["f1_macro"].low == pytest.approx(low, abs=0.01)
    assert intervals["f1_macro"].high == pytest.approx(high, abs=0.01)
