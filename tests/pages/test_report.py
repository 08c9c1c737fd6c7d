"""The report: claims beside measurements, what a run is, and a page that no text can break."""

import csv
import dataclasses
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCard
from ruamel.yaml import YAML
from sklearn.metrics import f1_score

from cardproof.claims.judge import claim_metrics, departures, judge_claims, judge_epochs
from cardproof.evaluation.intervals import score_intervals
from cardproof.evaluation.metrics import expected_calibration_error, reliability_bins, score
from cardproof.files import write_json
from cardproof.pages.report.behaviour import analyse, behaviour_metrics, describe, percent, shorten
from cardproof.pages.report.figures import draw_figures
from cardproof.pages.report.render import headline, list_settings, render_model_card, render_page
from cardproof.recipe.params import Recipe, Train, resolve
from cardproof.runs.facts import FactsError, Predictions, RunFacts, ScoredReviews, read_run
from cardproof.tables import write_csv
from tests.conftest import ROOT
from tests.recipe.test_params import CARDS

NUMBER = re.compile(r"\d+\.\d\d")


def recipe_of(card: str, **overrides: dict[str, Any]) -> Recipe:
    raw = YAML(typ="safe", pure=True).load(ROOT / "params.yaml") | {"card": card}
    for section, values in overrides.items():
        raw[section] |= values
    return resolve(raw)


def run_of(recipe: Recipe, **provenance: str | int) -> RunFacts:
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
        metrics |= {f"tokenize.{name}_{what}_truncated": 0.25 for what in ("reviews", "tokens")}
    metrics |= {"split.test_in_train": 2, "train.steps": 2814, "train.parameters": 66_955_010}
    metrics |= {"train.model_bytes": 267_832_560, "evaluate_time.milliseconds_per_example": 12.345}
    said: dict[str, str | int] = {"threads": 2}
    said |= {"device": "cpu", "precision": "fp32", "precision_wanted": "fp32", "reason": "no GPU"}
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
    none = np.zeros(100, dtype=bool)
    full = random.integers(10, 600, 100)
    lengths = np.minimum(full, recipe.tokenize.max_length)
    texts = [f"Review number {i}." for i in range(100)]
    split = recipe.split
    other = split.validation_set not in (None, split.scored_set)
    reviews = ScoredReviews(
        np.arange(100), texts, full, lengths, none, none if other else None, none
    )
    validation = Predictions(labels, random.normal(size=(100, 2)) + np.eye(2)[labels])
    return RunFacts(
        recipe, metrics, said | provenance, epochs, curve, labels, logits, reviews,
        validation if other else None,
    )  # fmt: skip


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
    # Its 1,250 steps an epoch leave one share of held-out rows.
    assert departures(recipe_of("llm_project", split={"test_size": 0.5})) == ["split.test_size"]
    assert departures(recipe_of("deepaxion"), precision="bf16") == ["train.precision"]


@pytest.mark.parametrize("key", sorted(Train.model_fields.keys() - {"seed", "logging_steps"}))
def test_whatever_is_changed_in_training_bars_a_comparison(key: str) -> None:
    changes: dict[str, Any] = {
        "learning_rate": 1e-5, "scheduler": "cosine", "warmup_steps": 9, "weight_decay": 0.1,
        "betas": [0.8, 0.9], "epsilon": 1e-6, "batch_size": 4, "epochs": 1.0, "max_steps": 9,
        "precision": "bf16", "load_best": False, "layer_decay": 0.9, "average_last": 0.5,
    }  # fmt: skip
    # A card that states all of it, and keeps its last weights, as a mean of them must.
    card = recipe_of("grojeda").card.model_dump() | {"silent": {}}
    card["train"]["load_best"] = key == "load_best"
    other = recipe_of("grojeda", cards={"grojeda": card}, train={key: changes[key]})
    found = judge_claims(other, [{"evaluate.accuracy": 0.9256, "evaluate.loss": 0.2435}])
    words = {c.key: c.verdict.word for c in found}
    assert (words["accuracy"], words["loss"]) == ("not comparable", "not comparable")


def test_a_single_runs_training_loss_borrows_no_spread() -> None:
    """The published one is of losses on held-out rows: three times llm_project's third epoch."""
    row = {
        "training_loss": 0.12,
        "epoch": 3,
        "step": 3750,
        "validation_loss": 0.1,
        "accuracy": 0.98,
    }
    cells = judge_epochs(recipe_of("llm_project"), [[row]])[2]
    assert cells[0].verdict.word == "not testable"
    assert cells[3].verdict.word == "reproduced"


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
    with (ROOT / "cardproof/claims/published.csv").open() as file:
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
    said = run.logits.argmax(axis=1)
    plain = [f1_score(run.labels[rows], said[rows], average="macro") for rows in drawn]
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


def test_a_model_card_says_where_its_pipeline_reads_otherwise_than_the_run_did() -> None:
    plain, both = (
        render_model_card(run_of(recipe_of("grojeda", tokenize={"cut": cut})))
        for cut in (None, "head_and_tail")
    )
    assert "of its start and end" not in plain
    assert "of its start and end" in both


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


def changed(run: RunFacts, texts: list[str] | None = None, **reviews: Any) -> RunFacts:
    """The run with other reviews; texts from its first row on."""
    if texts:
        reviews["texts"] = texts + run.reviews.texts[len(texts) :]
    return dataclasses.replace(run, reviews=dataclasses.replace(run.reviews, **reviews))


def with_margins(run: RunFacts, *margins: float) -> RunFacts:
    """The first rows of the run alone, own logit - other logit as given; labelled 1, 0, 1, ..."""
    n = len(margins)
    labels = (np.arange(n) + 1) % 2
    logits = np.zeros((n, 2))
    logits[np.arange(n), labels] = margins
    r = run.reviews
    cut = {f: getattr(r, f)[:n] for f in ("rows", "texts", "full_lengths", "lengths", "in_train",
                                          "repeated")}  # fmt: skip
    cut["in_validation"] = None if r.in_validation is None else r.in_validation[:n]
    return dataclasses.replace(changed(run, **cut), labels=labels, logits=logits)


EVIL = [
    "<script>alert(1)</script>",
    "good & bad " * 100_000,
    "x" * 1_000_000,
    "nul\0, bell\a, escape\x1b[31m and \ud800 alone",
    "turned \u202egnorw\u202c round, \u200fmarked and \u2067isolated\u2069",
    "{{ 7 * 7 }}{% include 'page.html.j2' %}",
    "</td></tr></table><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "",
    "מצוין <b>!</b>",
]


def test_no_text_of_a_review_breaks_the_page() -> None:
    run = run_of(recipe_of("grojeda"))
    wrong = run.logits[:, ::-1].copy()  # its mistakes are many; the first ten are the surest
    wrong[:10] = [-9, 9]
    plain = dataclasses.replace(run, logits=wrong)
    figures = draw_figures(plain)
    page = render_page(changed(plain, EVIL), figures)
    tags, usual = Tags(), Tags()
    tags.feed(page)
    usual.feed(render_page(plain, figures))
    assert tags.names == usual.names  # no text became a tag
    assert tags.sources == usual.sources
    assert "&lt;script&gt;alert(1)" in page
    assert "{{ 7 * 7 }}" in page
    assert "good &amp; bad" in page
    assert "nul , bell , escape [31m and alone" in page
    assert not re.search("[\0\a\x1b\ud800\u200f\u202a-\u202e\u2066-\u2069]", page)
    assert len(page) < len(render_page(plain, figures)) + 5_000
    page.encode("utf-8")


def test_a_long_review_is_shown_by_its_start_and_end_in_whole_words() -> None:
    words = [f"word{i}" for i in range(5_000)]
    for text in (" ".join(words), "<br /><br />".join(words[:200])):
        shown = shorten(text)
        assert len(shown) < 310
        start, end = shown.split(" … ")
        assert set(start.split()) | set(end.split()) <= set(words)
        assert start.startswith("word0 word1 ")
        assert end.endswith(text.rpartition("word")[2])
    assert shorten("one<br />two\n\n three\t") == "one two three"
    assert shorten("a" * 301) == "a" * 180 + " … " + "a" * 120
    assert shorten("a" * 300) == "a" * 300
    assert shorten("") == ""


def test_the_page_says_how_the_model_behaves() -> None:
    run = run_of(recipe_of("grojeda"))
    said = describe(run)
    page = render_page(run, draw_figures(run)).replace("&#39;", "'")
    for sentence in (said.calibration, said.selective, said.lengths, said.doubts, said.duplicates):
        assert f"<p>{sentence}</p>" in page
    assert page.count('alt="') == page.count("<img ")
    assert 'alt=""' not in page
    headings = [int(h) for h in re.findall(r"<h(\d)", page)]
    assert headings[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))
    assert all("scope=" in tag for tag in re.findall(r"<th\b[^>]*>", page))
    assert f"{said.mistakes[0].text}</td>" in page


def test_temperature_is_fitted_on_validation_rows_only() -> None:
    run = run_of(recipe_of("grojeda"))
    found, said = analyse(run), describe(run).calibration
    assert found.temperature is not None
    assert found.after is not None
    assert f"{found.temperature.temperature:.3g}, the temperature fitted on the 100 valid" in said
    assert f"{found.after.error:.3f} instead of {found.before.error:.3f}" in said
    for card, why in (("llm_project", "would be fitted on the test"),
                      ("hansaht", "would be fitted on the test"),
                      ("deepaxion", "this run validates on no rows")):  # fmt: skip
        other = run_of(recipe_of(card))
        assert describe(other).calibration.endswith(f"{why}.")
        assert not {"temperature", "loss_scaled"} & behaviour_metrics(analyse(other)).keys()
        assert draw_figures(other)["reliability"]
    labels = run.labels
    for logits, why in ((np.eye(2)[labels], "favours no wrong label on the 100 validation rows"),
                        (-np.eye(2)[labels], "favours wrong labels as much")):  # fmt: skip
        odd = dataclasses.replace(run, validation=Predictions(labels, logits))
        assert why in describe(odd).calibration
        assert "temperature" not in behaviour_metrics(analyse(odd))


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        ((3.0,), ["single review", "wrong on none of 1 review", "Only one label", "accuracy 100"]),
        ((-3.0,), ["single review", "wrong on 1 of 1 review; it stands here", "accuracy 0.00"]),
        ((2.0, 2.0, 2.0), ["equally sure of every review", "wrong on none of 3 reviews",
                           "doubts none of the labels", "less sure than it is right"]),
        ((0.0, 0.0), ["equally sure", "wrong on 1 of 2 reviews", "as sure as it is right"]),
        ((-4.0, -3.0, -2.0), ["wrong on 3 of 3 reviews; all stand here", "the 2 reviews of 3",
                              "surer than it is right"]),
        ((1e30, -1e30, 5.0), ["wrong on 1 of 3 reviews", "over 0.9999"]),
        ((1.0, 2.0), ["Answering only the one review of 2"]),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_sentences_and_figures_stand_the_edges(
    margins: tuple[float, ...], expected: list[str]
) -> None:
    run = with_margins(run_of(recipe_of("grojeda")), *margins)
    page = render_page(run, draw_figures(run))
    for words in expected:
        assert words in page
    metrics = behaviour_metrics(analyse(run))
    assert np.isfinite(list(metrics.values())).all()


def test_the_sentence_on_lengths_knows_none_all_and_some() -> None:
    run = run_of(recipe_of("grojeda"))
    full = run.reviews.full_lengths
    assert "Of reviews longer than the 384 tokens" in describe(run).lengths
    assert "Fisher’s exact test, p = " in describe(run).lengths
    assert describe(changed(run, lengths=full)).lengths.endswith("nothing was cut off.")
    assert "accuracy_cut" not in behaviour_metrics(analyse(changed(run, lengths=full)))
    every = changed(run, lengths=full - 1)
    assert describe(every).lengths.startswith("Every review is longer than")
    sure = dataclasses.replace(run, logits=np.eye(2)[run.labels])
    assert describe(sure).lengths.endswith("there is no difference.")


def test_the_sentence_on_duplicates_knows_none_one_and_all() -> None:
    run = run_of(recipe_of("grojeda"))
    first, every = np.arange(100) == 0, np.ones(100, dtype=bool)
    right = run.logits.argmax(axis=1) == run.labels
    assert describe(run).duplicates == (
        "No scored text stands in the training or validation rows, and none is scored twice."
    )
    without = f"{100 * right[1:].mean():.2f}\u00a0% instead of {100 * right.mean():.2f}\u00a0%."
    assert describe(changed(run, in_train=first)).duplicates == (
        "1 of 100 scored texts stands in the training or validation rows and none repeats an "
        f"earlier one; without it, the accuracy is {without}"
    )
    assert describe(changed(run, in_validation=first, repeated=first)).duplicates.startswith(
        "1 of 100 scored texts stands in the training or validation rows and 1 repeats an earlier"
    )
    assert describe(changed(run, repeated=np.arange(100) < 2)).duplicates.startswith(
        "None of 100 scored texts stands in the training or validation rows and 2 repeat an"
    )
    known = changed(run, in_train=every)
    assert describe(known).duplicates.endswith("no row is left without them.")
    metrics = behaviour_metrics(analyse(known))
    assert metrics["rows_overlap"] == 100
    assert "accuracy_without_overlap" not in metrics
    assert "training rows, and" in describe(run_of(recipe_of("hansaht"))).duplicates


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0.00"), (1, "100.00"), (0.99999, "over 99.99"), (1e-9, "under 0.01"), (0.5, "50.00")],
)
def test_a_share_is_never_rounded_to_none_or_all(share: float, shown: str) -> None:
    assert percent(share) == f"{shown}\u00a0%"


def write_run(folder: Path, rows: list[int]) -> None:
    """The files of a run on six reviews: train 0 to 2, test 0 to 2; predictions are of `rows`."""
    for name in ("split", "tokenize", "train", "evaluate", "evaluate_time"):
        write_json(folder / f"metrics/{name}.json", {"rows": 3})
    write_json(folder / "model/training.json", {})
    for name in ("epochs", "training_curve"):
        write_csv(folder / f"plots/{name}.csv", ("step",), [{"step": 1}])
    texts = {"train": ["a", "b", "c"], "validation": ["v", "d", "w"], "test": ["d", "a", "d"]}
    for name, column in texts.items():
        for kind in ("split", "predictions", f"tokens/{name}"):
            (folder / "data" / kind).mkdir(parents=True, exist_ok=True)
        split = {"text": column, "label": [0, 1, 1], "row": [4, 5, 6]}
        pq.write_table(pa.table(split), folder / f"data/split/{name}.parquet")
        found = {"row": rows, "label": [0, 1, 1], "logit_negative": [1.0, 2, 3]}
        found["logit_positive"] = [0.0, 0, 4]
        pq.write_table(pa.table(found), folder / f"data/predictions/{name}.parquet")
        arrays = {"ids": [1] * 6, "offsets": [0, 1, 3, 6], "labels": [0, 1, 1]}
        for key, values in (arrays | {"full_lengths": [1, 2, 9]}).items():
            np.save(folder / f"data/tokens/{name}/{key}.npy", np.array(values))


def test_a_run_is_read_with_its_texts_lengths_and_validation_rows(tmp_path: Path) -> None:
    recipe = recipe_of("grojeda")
    write_run(tmp_path, [4, 5, 6])
    run = read_run(recipe, tmp_path)
    assert run.reviews.in_train.tolist() == [False, True, False]
    assert run.reviews.repeated.tolist() == [False, False, True]
    assert run.reviews.in_validation is not None
    assert run.reviews.in_validation.tolist() == [True, False, True]
    assert (run.reviews.rows.tolist(), run.reviews.texts) == ([4, 5, 6], ["d", "a", "d"])
    assert run.reviews.lengths.tolist() == [1, 2, 3]
    assert run.reviews.full_lengths.tolist() == [1, 2, 9]
    assert run.validation is not None
    for card in ("llm_project", "hansaht", "deepaxion"):
        other = read_run(recipe_of(card), tmp_path)
        assert (other.validation, other.reviews.in_validation) == (None, None)


def test_predictions_of_other_rows_are_refused(tmp_path: Path) -> None:
    recipe = recipe_of("grojeda")
    write_run(tmp_path, [4, 6, 5])
    with pytest.raises(FactsError, match="is of other rows than data/split/test"):
        read_run(recipe, tmp_path)


def test_an_epoch_that_the_card_did_not_log_is_left_out_of_the_figure_and_the_verdicts() -> None:
    recipe = recipe_of("hansaht")
    rows = [["No log", *recipe.card.claims.epochs[0][1:]], *recipe.card.claims.epochs[1:]]
    claims = recipe.card.claims.model_copy(update={"epochs": rows})
    card = recipe.card.model_copy(update={"claims": claims})
    run = run_of(recipe.model_copy(update={"card": card}))
    cell = judge_epochs(run.recipe, [run.epochs])[0][0]
    assert (cell.verdict.word, cell.shown) == ("not testable", "0.2336")
    assert "No log" in render_page(run, draw_figures(run))
