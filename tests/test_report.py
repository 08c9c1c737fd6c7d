"""The report: claims beside measurements, what a run is, and a page that no text can break."""

import csv
import dataclasses
import re
from html.parser import HTMLParser
from statistics import stdev
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from ruamel.yaml import YAML

from cardproof.claims import claim_metrics, departures, judge_claims, judge_epochs
from cardproof.params import Recipe, resolve
from cardproof.report.facts import RunFacts
from cardproof.report.figures import draw_figures
from cardproof.report.render import headline, list_settings, render_model_card, render_page
from cardproof.scores import expected_calibration_error, reliability_bins, score
from cardproof.uncertainty import score_intervals
from tests.conftest import ROOT
from tests.test_params import CARDS

NUMBER = re.compile(r"\d+\.\d\d")


def recipe_of(card: str, **overrides: dict[str, Any]) -> Recipe:
    raw = YAML(typ="safe", pure=True).load(ROOT / "params.yaml") | {"card": card}
    for section, values in overrides.items():
        raw[section] |= values
    return resolve(raw)


def run_of(recipe: Recipe, **provenance: str) -> RunFacts:
    """A finished run as its files would have it, with scores of random logits."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    logits = random.normal(size=(100, 2)) + np.eye(2)[labels] * 2
    figures = score(labels, logits)
    figures["calibration_error"] = expected_calibration_error(reliability_bins(labels, logits))
    metrics: dict[str, float] = {f"evaluate.{k}": v for k, v in figures.items()}
    for name in ("train", "validation", "test"):
        metrics |= {f"split.{name}_rows": 100, f"split.{name}_positive_share": 0.5}
        metrics |= {f"split.{name}_repeats": 1, f"tokenize.{name}_mean_length": 231.5}
        metrics |= {f"tokenize.{name}_{what}_cut": 0.25 for what in ("reviews", "tokens")}
    metrics |= {"split.test_in_train": 2, "train.steps": 2814, "train.parameters": 66_955_010}
    metrics |= {"train.model_bytes": 267_832_560, "evaluate_time.milliseconds_per_example": 12.345}
    said = {"device": "cpu", "precision": "fp32", "precision_wanted": "fp32", "reason": "no GPU"}
    said |= {k: "1.0" for k in ("python", "torch", "transformers", "tokenizers")}
    epochs: list[dict[str, float | None]] = [
        {"training_loss": 0.2336, "epoch": 1, "step": 1563, "validation_loss": 0.27176,
         "accuracy": 0.91},
        {"training_loss": None, "epoch": 2, "step": 3126, "validation_loss": 0.3,
         "accuracy": 0.92},
    ]  # fmt: skip
    curve: list[dict[str, float | None]] = [
        {"step": s, "epoch": s / 9, "training_loss": 1 / s, "learning_rate": 1e-5}
        for s in (1, 5, 9)
    ]
    return RunFacts(recipe, metrics, said | provenance, epochs, curve, labels, logits)


def test_a_claim_meets_the_interval_of_one_more_run() -> None:
    recipe = recipe_of("deepaxion")
    metrics = {"evaluate.accuracy": 0.9351, "evaluate.f1_macro": 0.9451}
    metrics |= {"train.parameters": 66_955_010, "train.model_bytes": 267_832_560}
    found = {c.key: c for c in judge_claims(recipe, [metrics])}
    # one run: 0.9351 ± 1.96 x 0.0015 x sqrt(2) meets 93.5 % to 94.5 %
    assert found["accuracy"].verdict.interval is not None
    assert found["accuracy"].verdict.interval.source == "published"
    assert found["accuracy"].verdict.interval.low == pytest.approx(0.9351 - 0.004158, abs=1e-5)
    words = {key: c.verdict.word for key, c in found.items()}
    assert words == {
        "accuracy": "reproduced", "f1": "higher", "precision": "not testable",
        "recall": "not testable", "train_rows": "not testable", "test_rows": "not testable",
        "parameters": "reproduced", "model_mebibytes": "reproduced",
    }  # fmt: skip
    assert found["model_mebibytes"].shown == "255"
    assert found["f1"].difference == pytest.approx(0.0151)
    figures = claim_metrics(list(found.values()))
    assert (figures["accuracy_inside"], figures["f1_inside"]) == (1, 0)
    assert (figures["accuracy_comparable"], figures["f1_comparable"]) == (1, 1)
    assert "precision_inside" not in figures


def test_a_departure_bars_only_the_claims_that_it_concerns() -> None:
    recipe = recipe_of("grojeda", model={"base": "minilm"})
    metrics = {"evaluate.accuracy": 0.9256, "train.steps": 2814, "split.train_rows": 22_500}
    found = {c.key: c for c in judge_claims(recipe, [metrics])}
    assert found["accuracy"].verdict.word == "not comparable"
    assert "model.base" in found["accuracy"].verdict.reason
    assert found["accuracy"].inside is True  # the number is told, the word is not
    assert found["steps"].verdict.word == found["train_rows"].verdict.word == "reproduced"
    short = recipe_of("grojeda", data={"limit": 100})
    assert {c.verdict.word for c in judge_claims(short, [metrics])} == {"not comparable"}


def test_another_seed_or_reading_of_a_silence_is_no_departure() -> None:
    assert departures(recipe_of("llm_project", train={"seed": 7})) == ["train.seed"]
    other = recipe_of("llm_project", train={"seed": 7, "precision": "bf16"})
    accuracy = next(c for c in judge_claims(other, [{"evaluate.accuracy": 0.98}] * 3))
    assert departures(other) == ["train.seed"]
    assert {c.verdict.word for c in judge_claims(other, [{"evaluate.accuracy": 0.9804}])} == {
        "reproduced",
        "not testable",
    }
    assert accuracy.verdict.n in (0, 3)
    assert departures(recipe_of("llm_project", tokenize={"max_length": 256})) == []
    assert departures(recipe_of("grojeda", tokenize={"max_length": 256})) == ["tokenize.max_length"]
    assert departures(recipe_of("deepaxion", train={"precision": "bf16"}), "bf16") == []
    assert departures(recipe_of("deepaxion"), precision="bf16") == ["train.precision"]


def test_three_runs_have_a_spread_of_their_own() -> None:
    runs = [{"evaluate.accuracy": a, "evaluate.loss": 0.2435} for a in (0.921, 0.922, 0.923)]
    found = {c.key: c for c in judge_claims(recipe_of("grojeda"), runs)}
    verdict = found["accuracy"].verdict
    assert verdict.interval is not None
    assert (verdict.n, verdict.interval.source) == (3, "seeds")
    # t(2) = 4.3027 (any table): 0.922 ± 4.3027 x 0.001 x sqrt(4/3)
    assert verdict.interval.high == pytest.approx(0.922 + 4.3027 * 0.001 * (4 / 3) ** 0.5, abs=1e-6)
    assert verdict.word == "reproduced"
    assert found["accuracy"].measured == pytest.approx(0.922)


def test_the_declared_spread_is_that_of_the_published_runs() -> None:
    with (ROOT / "cardproof/published.csv").open() as file:
        runs = [
            row
            for row in csv.DictReader(file)
            if (row["train_rows"], row["epochs"]) == ("25000", "2")
        ]
    rules = recipe_of("grojeda").verdict
    assert len(runs) == 3
    assert rules.share_sd == pytest.approx(stdev(float(r["accuracy"]) for r in runs), abs=1e-4)
    assert rules.loss_sd == pytest.approx(stdev(float(r["loss"]) for r in runs), abs=5e-4)


def test_each_cell_of_a_cards_table_meets_the_same_epoch_of_ours() -> None:
    recipe = recipe_of("hansaht")
    table = judge_epochs(recipe, [run_of(recipe).epochs])
    assert len(table) == 5
    assert [c.inside for c in table[0]] == [True, True, True, True, False]
    assert [c.inside for c in table[1]] == [None, True, True, True, False]
    assert [c.measured for c in table[4]] == [None] * 5
    assert [c.verdict.word for c in table[0]] == ["reproduced"] * 4 + ["higher"]
    other = recipe_of("hansaht", train={"epochs": 3})
    cells = judge_epochs(other, [run_of(other).epochs])[0]
    assert [c.verdict.word for c in cells] == [
        "not comparable", "reproduced", "reproduced", "not comparable", "not comparable",
    ]  # fmt: skip


def test_blanks_of_the_template_are_filled_in_its_formats() -> None:
    run = run_of(recipe_of("template"))
    judged = judge_claims(run.recipe, [run.metrics])
    shown = {c.key: c.shown for c in judged}
    for key in ("accuracy", "precision", "recall"):
        assert re.fullmatch(r"\d\d\.\d\d%", shown[key])
    assert re.fullmatch(r"\d\.\d{4}", shown["f1"])
    assert shown["milliseconds_per_example"] == "~12.35 ms"
    assert {c.verdict.word for c in judged if c.claimed is None} == {"not testable"}


def test_intervals_over_rows_hold_the_score_and_match_a_plain_bootstrap() -> None:
    run = run_of(recipe_of("grojeda"))
    intervals = score_intervals(run.labels, run.logits)
    for key, interval in intervals.items():
        figure = run.metrics[f"evaluate.{key.removesuffix('_bootstrap')}"]
        assert interval.low <= figure <= interval.high, key
    random = np.random.default_rng(1)
    drawn = random.integers(len(run.labels), size=(2_000, len(run.labels)))
    plain = [score(run.labels[rows], run.logits[rows])["f1_macro"] for rows in drawn]
    low, high = np.quantile(plain, [0.025, 0.975])
    assert intervals["f1_macro"].low == pytest.approx(low, abs=0.01)
    assert intervals["f1_macro"].high == pytest.approx(high, abs=0.01)


def test_the_first_line_says_whether_it_is_a_reproduction() -> None:
    same, other = recipe_of("grojeda"), recipe_of("grojeda", model={"base": "minilm"})
    fp16 = recipe_of("deepaxion")
    for recipe, provenance, expected in (
        (same, {}, "A run of grojeda with nothing changed."),
        (other, {}, "Not a reproduction of grojeda: model.base is minilm, not distilbert."),
        (recipe_of("grojeda", train={"precision": "bf16"}), {},
         "A run of grojeda with another reading: train.precision is bf16, not fp32."),
        (recipe_of("grojeda", train={"seed": 7}), {},
         "A run of grojeda with another seed: train.seed is 7, not 42."),
        (fp16, {"precision": "bf16", "precision_wanted": "fp16"},
         "Not a reproduction of DeepAxion: train.precision is bf16, not fp16."),
    ):  # fmt: skip
        run = run_of(recipe, **provenance)
        sentence = headline(recipe, list_settings(run))
        assert sentence == expected
        assert render_model_card(run).split("---\n")[2].strip().startswith(f"**{sentence}**")
        assert sentence in render_page(run, draw_figures(run))


@pytest.mark.parametrize("card", CARDS)
def test_every_assumption_is_listed_with_its_reason(card: str) -> None:
    recipe = recipe_of(card)
    settings = {s.key: s for s in list_settings(run_of(recipe))}
    for key, reason in recipe.card.silent.items():
        if key in settings:
            assert (settings[key].status, settings[key].remark) == ("assumed", reason)
        else:
            assert settings.get(key) is None
            assert key in ("labels", "license")  # nothing was assumed in their place
    assert not [s for s in settings.values() if s.status == "deviates"]


@pytest.mark.parametrize(("card", "split"), [("grojeda", "test"), ("llm_project", "train")])
def test_the_model_card_is_one_that_the_hubs_library_accepts(card: str, split: str) -> None:
    run = run_of(recipe_of(card))
    read: Any = ModelCard(render_model_card(run)).data
    assert read.base_model == run.recipe.base.repository
    accuracy = next(r for r in read.eval_results if r.metric_type == "accuracy")
    assert accuracy.metric_value == run.metrics["evaluate.accuracy"]
    assert accuracy.dataset_type == "stanfordnlp/imdb"
    assert accuracy.dataset_split == split
    assert accuracy.dataset_revision == "e6281661ce1c48d982bc483cf8a173c1bbeb5d31"
    assert read.license == CARDS[card][-1]


class Tags(HTMLParser):
    """Collects the tags of a page and whatever it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.sources += [v or "" for k, v in attrs if k in ("src", "href")]


def test_the_page_needs_nothing_beside_it_and_runs_no_text() -> None:
    recipe = recipe_of("grojeda")
    evil = recipe.card.model_copy(update={"title": "<script>alert(1)</script>"})
    run = run_of(recipe.model_copy(update={"card": evil}))
    page = render_page(run, draw_figures(run))
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names
    assert tags.sources
    assert all(s.startswith("data:image/png;base64,") for s in tags.sources)
    assert "&lt;script&gt;" in page


def test_the_same_run_gives_the_same_bytes() -> None:
    run = run_of(recipe_of("hansaht"))
    assert draw_figures(run) == draw_figures(run)
    assert render_page(run, draw_figures(run)) == render_page(run, draw_figures(run))


def test_one_class_alone_still_has_a_report() -> None:
    run = run_of(recipe_of("grojeda"))
    labels = np.ones_like(run.labels)
    metrics = {k: v for k, v in run.metrics.items() if k != "evaluate.roc_auc"}
    alone = dataclasses.replace(run, labels=labels, metrics=metrics)
    assert "ROC AUC" not in render_page(alone, draw_figures(alone))


def test_a_run_too_short_for_a_log_still_has_a_report() -> None:
    run = run_of(recipe_of("deepaxion"))
    short = dataclasses.replace(run, curve=[], epochs=run.epochs[1:])
    assert "no log" in render_page(short, draw_figures(short))
