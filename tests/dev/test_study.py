"""The study: what is computed from records, and that the pages say what the records hold."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from ruamel.yaml import YAML
from sklearn.metrics import f1_score, precision_recall_fscore_support

from cardproof.claims.planning import plan_claims
from cardproof.evaluation.statistics import StatisticsError, summarise
from cardproof.recipe.load import load_recipe, read_files, resolve
from cardproof.runs.groups import Group
from cardproof.runs.reading import Predictions
from cardproof.runs.reading import Run as FinishedRun
from dev.study import __main__ as command
from dev.study import run as study_run
from dev.study.analysis import (
    compare_draws,
    compare_with_first,
    describe_draws,
    draw_scores,
    one_beside_several,
    optimism_gap,
    sd_interval,
)
from dev.study.pages import render_results
from dev.study.plan import PLAN, REMOVED, VARIANT_SEEDS, VARIANTS, Planned
from dev.study.record import Record
from dev.study.run import BASE_FILES, offer_as_base, without_record
from dev.study.verdict import true_claims_denied
from tests.conftest import ROOT
from tests.recipe.files import raw_files, recipe_of
from tests.recipe.test_load import copy_recipe_files
from tests.runs.test_compare import made_run, marks


def test_drawn_scores_are_those_of_rows_really_drawn() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 2_000)
    logits = random.normal(size=(4_000, 2)) + np.eye(2)[labels] * [1.2, 2.0]
    predicted = logits.argmax(axis=1)
    scored = Predictions(np.arange(4_000), labels, logits)
    drawn = draw_scores(scored, rows=100, draws=20_000, seed=1)
    plain = []
    for _ in range(800):
        rows = np.concatenate(
            [random.choice(np.flatnonzero(labels == c), 50, replace=False) for c in (0, 1)]
        )
        told, said = labels[rows], predicted[rows]
        precision, recall, f1, _ = precision_recall_fscore_support(told, said, average="binary")
        plain.append(((told == said).mean(), f1, precision, recall))
    for i, name in enumerate(("accuracy", "F1", "precision", "recall")):
        column = np.array(plain)[:, i]
        error = column.std() / np.sqrt(len(column))
        assert drawn[name].mean() == pytest.approx(column.mean(), abs=4 * error), name
        assert drawn[name].std() == pytest.approx(column.std(), rel=0.08), name
    found = describe_draws(scored, drawn)
    assert found["accuracy"]["whole"] == (labels == predicted).mean()
    assert found["F1"]["whole"] == pytest.approx(f1_score(labels, predicted))
    low, high = found["accuracy"]["interval"]
    assert low < found["accuracy"]["whole"] < high


@pytest.mark.slow
def test_the_pages_of_results_say_what_the_records_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["dev.study", "--check"])
    assert command.main() == 0, capsys.readouterr().out


@pytest.mark.slow
def test_a_study_half_run_has_its_pages_too(tmp_path: Path) -> None:
    """Of two changes one draw each, and of the leak one start."""
    results = ROOT / "results"
    names = [f"truncation/{change}-seed-1" for change in ("head-at-128", "head-at-512")]
    for name in (*names, "leak/honest-seed-1", "recipes/grojeda"):
        shutil.copytree(results / name, tmp_path / name)
    pages, summary = render_results(tmp_path)
    assert "Not run yet" in summary
    assert "Not known: 1 of five were run at full size." in summary
    waiting = pages["README.md"].partition("## Planned and not run")[2].splitlines()
    planned = {run.name for run in PLAN["leak"]} - {"leak/honest-seed-1"}
    assert planned <= {line.removeprefix("- ").split(",")[0] for line in waiting}


@pytest.mark.slow
def test_what_waits_for_its_runs_has_its_page_when_they_are_there(tmp_path: Path) -> None:
    """By records of other runs, lent: longer training has those of the base and gains nothing."""
    results, lent = ROOT / "results", tmp_path / "results"
    for question in ("recipes", "leak"):
        shutil.copytree(results / question, lent / question)
    for seed in (1, 2):
        longer = lent / f"leak/twice-the-epochs-seed-{seed}"
        shutil.rmtree(longer, ignore_errors=True)
        shutil.copytree(results / f"leak/honest-seed-{seed}", longer)
    shutil.rmtree(lent / "leak/twice-the-epochs-seed-3", ignore_errors=True)
    shutil.copytree(results / "recipes/llm_project", lent / "leak-full/after-tuning-on-all")
    page = render_results(lent)[0]["README.md"]
    row = next(line for line in page.splitlines() if line.startswith("| the base, for twice"))
    assert row.startswith("| the base, for twice the epochs | 2 |")
    assert row.endswith("| +0.00 | +0.00 to +0.00 |")
    assert "| tuned on these rows before | 3 |" in page
    assert "The same from a model tuned on all rows at full size" in page
    assert "\n- leak/twice-the-epochs-seed-3\n" in page


ALL_PLANNED = [run for runs in PLAN.values() for run in runs]
REMOVED_KEYS = {key for change in REMOVED for key in VARIANTS[change]}


def test_what_was_removed_has_its_records() -> None:
    removed = [run for run in ALL_PLANNED if REMOVED_KEYS & run.settings.keys()]
    assert len(removed) == len(REMOVED) * len(VARIANT_SEEDS)
    assert all((ROOT / "results" / run.name / "record.json").is_file() for run in removed)


@pytest.mark.parametrize(
    "planned",
    [run for run in ALL_PLANNED if not REMOVED_KEYS & run.settings.keys()],
    ids=lambda run: run.name,
)
def test_every_planned_run_is_one_that_params_allows(planned: Planned) -> None:
    yaml = YAML(typ="safe")
    raw = raw_files(**{k.replace(".", "__"): yaml.load(v) for k, v in planned.settings.items()})
    if planned.base_from:
        assert planned.base_from in [run.name for run in ALL_PLANNED]
        raw.sources["bases"][planned.settings["model.base"]] = raw.sources["bases"]["minilm"]
    deviations = {d.key for d in resolve(raw).deviations}
    assert deviations <= planned.settings.keys() - {"card"}


def groups_of(runs: Mapping[str, Sequence[FinishedRun]]) -> list[Group]:
    return [Group(name, tuple(of_one)) for name, of_one in runs.items()]


def test_changes_are_compared_by_seed_with_the_first() -> None:
    shares = {"one": (0.80, 0.82, 0.81), "two": (0.86, 0.87, 0.88), "three": (0.80, 0.83, 0.80)}
    runs = {
        name: [
            made_run(f"{name}-{seed}", right=marks(share, seed=seed), train__seed=seed)
            for seed, share in enumerate(of_one)
        ]
        for name, of_one in shares.items()
    }
    groups = groups_of(runs)
    for pair, other in zip(compare_with_first(groups), ("two", "three"), strict=True):
        assert (pair.a, pair.b) == (other, "one")
        assert pair.difference == pytest.approx(np.mean(shares[other]) - 0.81)
        assert pair.by_seed
        assert pair.p_holm >= pair.p


def test_the_optimism_gap_is_between_validation_rows_and_test_rows() -> None:
    def record(**right: NDArray[np.bool_]) -> Record:
        predictions = {
            name: Predictions(np.arange(len(m)), m.astype(int), np.tile([0, 1.0], (len(m), 1)))
            for name, m in right.items()
        }
        return Record(made_run("r"), {}, [], predictions)

    def seeded(seed: int) -> Record:
        return record(validation=marks(0.95, 400, seed), test=marks(0.85, 1_000, seed))

    gap, interval = optimism_gap([seeded(1), seeded(2)])
    assert gap == pytest.approx(0.1)
    assert interval.low < 0.1 < interval.high
    # Two independent models of equal accuracies: half of a single one's variance in each mean.
    error = np.sqrt((0.95 * 0.05 / 400 + 0.85 * 0.15 / 1_000) / 2)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.15)

    # Seeds whose gaps differ make it wider: 1.96 standard errors by rows, 12.7 by two seeds.
    apart = [seeded(1), record(validation=marks(0.99, 400, 2), test=marks(0.85, 1_000, 2))]
    wider = optimism_gap(apart)[1]
    rows = np.sqrt((0.97 * 0.03 / 400 + 0.85 * 0.15 / 1_000) / 2)
    half = np.hypot(1.96 * rows, 12.706 * 0.04 / 2)
    assert wider.high - wider.low == pytest.approx(2 * half, rel=0.02)

    # The same rows right in both sets: no leak. More of the validation rows alone: all of it.
    none, interval = optimism_gap([seeded(1)], less=[seeded(1)])
    assert (none, interval.low, interval.high) == (0, 0, 0)
    leaky = record(validation=marks(1, 400), test=seeded(1).right("test"))
    excess, interval = optimism_gap([leaky], less=[seeded(1)])
    assert excess == pytest.approx(0.05)
    assert 0 < interval.low < 0.05 < interval.high


def test_draws_are_compared_in_pairs() -> None:
    """Differences of 1, 2, 3 points: their standard error is 1/√3, and t of 2 df is 4.3027."""
    shares = {"a": [0.81, 0.72, 0.93], "b": [0.80, 0.70, 0.90], "c": [0.70, 0.72, 0.85]}
    first, other = compare_draws(shares, [("a", "b"), ("c", "b")])
    assert (first.a, first.b) == ("a", "b")
    assert first.mean == pytest.approx(0.02)
    assert first.interval.low == pytest.approx(0.02 - 4.3027 * 0.01 / 3**0.5, abs=1e-6)
    assert first.interval.high == pytest.approx(0.02 + 4.3027 * 0.01 / 3**0.5, abs=1e-6)
    assert first.p == pytest.approx(2 * 0.07418, abs=1e-4)  # t of 3.4641, twice for two pairs
    assert other.p >= first.p


def test_the_interval_of_a_standard_deviation() -> None:
    """Of two figures: chi-squared of one degree of freedom has 0.000982 and 5.0239."""
    low, high = sd_interval(summarise([0.91, 0.92]))
    assert low == pytest.approx(0.01 / 2**0.5 / 5.0239**0.5, rel=1e-4)
    assert high == pytest.approx(0.01 / 2**0.5 / 0.000982069**0.5, rel=1e-4)
    with pytest.raises(StatisticsError):
        sd_interval(summarise([0.91]))


def test_the_readme_says_what_runs_that_vary_more_would_do() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert "vary three times as much, a single run denies one true claim in seven" in text
    single, *_ = true_claims_denied(3)
    assert round(1 / single) == 7
    (accuracy, _) = plan_claims(recipe_of("grojeda"), margin=0.01, sd=0.0064)
    assert "and more than 30 if they vary twice as much (`--sd 0.0064`)" in text
    assert accuracy.enough is None


def test_one_run_beside_several_of_another_recipe() -> None:
    """Of three runs a point apart: t of two degrees of freedom is 4.3027."""
    difference, interval = one_beside_several(0.93, [0.90, 0.91, 0.92])
    assert difference == pytest.approx(0.02)
    half = 4.3027 * 0.01 * (4 / 3) ** 0.5
    assert (interval.low, interval.high) == pytest.approx((0.02 - half, 0.02 + half), abs=1e-5)
    with pytest.raises(StatisticsError):
        one_beside_several(0.93, [0.9])


def test_a_trained_model_becomes_a_base(tmp_path: Path) -> None:
    model, clone = tmp_path / "model", tmp_path / "clone"
    clone.mkdir()
    copy_recipe_files(clone)
    model.mkdir()
    for name in BASE_FILES:
        (model / name).write_text(name)
    offer_as_base(model, clone, "trained")
    raw = read_files(clone)
    raw.params["model"]["base"] = "trained"
    assert set(resolve(raw).base.files) == set(BASE_FILES)
    assert load_recipe(clone) == load_recipe(ROOT)
    assert (clone / "sample/hub/cardproof/trained/model.safetensors").is_file()


def test_a_base_that_is_gone_is_trained_before_the_run_that_starts_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_run, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(study_run, "MODELS", tmp_path / "models")
    tuned, after = PLAN["leak-full"]
    (tmp_path / "results" / tuned.name).mkdir(parents=True)
    (tmp_path / "results" / tuned.name / "record.json").touch()
    assert without_record([tuned]) == []
    assert without_record([tuned, after]) == [tuned, after]
    (tmp_path / "models" / tuned.name).mkdir(parents=True)
    assert without_record([tuned, after]) == [after]


def test_a_change_of_one_seed_is_never_shown_to_differ() -> None:
    shares = {"one": (0.80, 0.82, 0.81), "two": (0.86, 0.87, 0.89), "three": (0.80,)}
    runs = {
        name: [
            made_run(f"{name}-{seed}", right=marks(share, seed=seed), train__seed=seed)
            for seed, share in enumerate(of_one)
        ]
        for name, of_one in shares.items()
    }
    two, three = compare_with_first(groups_of(runs))
    assert two.p_holm == pytest.approx(min(2 * two.p, 1))
    assert not three.over_seeds
    assert three.said != "recipes differ"
