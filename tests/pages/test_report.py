"""The report: what a run is, how its model behaves, and a page that no text can break."""

import base64
import dataclasses
import hashlib
import html
import json
import re
from collections import defaultdict
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from cardproof.claims.judge import judge_claims
from cardproof.pages.explanations import explain, shorten
from cardproof.pages.figures import WINDOWS, draw_figures, loss_figure, reliability_figure
from cardproof.pages.formats import percent
from cardproof.pages.report import _earlier_used, render_model_card, render_page
from cardproof.pages.report_tables import epochs_table
from cardproof.pages.settings import headline, list_settings
from cardproof.pages.tables import one_line
from cardproof.recipe.load import read_files
from cardproof.recipe.schema import Recipe
from cardproof.runs.findings import Outputs, analysis_record, find
from cardproof.runs.reading import Predictions, Rows
from tests.conftest import ROOT
from tests.recipe.files import recipe_of
from tests.runs.made import outputs_of


def page_of(outputs: Outputs) -> str:
    findings = find(outputs)
    return render_page(findings, draw_figures(findings))


def words_of(outputs: Outputs) -> str:
    """The page without its figures: to draw them takes twenty times as long as all the rest."""
    return render_page(find(outputs), defaultdict(Markup))


def card_of(outputs: Outputs) -> str:
    return render_model_card(find(outputs), ["negative", "positive"])


def record_of(outputs: Outputs) -> dict[str, Any]:
    return analysis_record(find(outputs).analysis)


def explained(outputs: Outputs) -> dict[str, str]:
    return explain(find(outputs))


def with_card(outputs: Outputs, **card: object) -> Outputs:
    recipe = outputs.run.recipe
    changed = recipe.model_copy(update={"card": recipe.card.model_copy(update=card)})
    return dataclasses.replace(outputs, run=dataclasses.replace(outputs.run, recipe=changed))


def with_logits(outputs: Outputs, logits: Any) -> Outputs:
    return dataclasses.replace(outputs, scored=dataclasses.replace(outputs.scored, logits=logits))


def with_reviews(outputs: Outputs, **reviews: Any) -> Outputs:
    changed = dataclasses.replace(outputs.reviews, **reviews)
    return dataclasses.replace(outputs, reviews=changed)


def with_margins(outputs: Outputs, *margins: float) -> Outputs:
    """The first rows of the run alone, own logit - other logit as given; labelled 1, 0, 1, ..."""
    n = len(margins)
    labels = (np.arange(n) + 1) % 2
    logits = np.zeros((n, 2))
    logits[np.arange(n), labels] = margins
    fields = {name: v if v is None else v[:n] for name, v in vars(outputs.reviews).items()}
    scored = Predictions(np.arange(n), labels, logits)
    return dataclasses.replace(with_reviews(outputs, **fields), scored=scored)


UNSPECIFIED = "another value for what the card leaves unspecified"


@pytest.mark.parametrize(
    ("recipe", "provenance", "expected"),
    [
        (recipe_of("grojeda"), {}, "A run of grojeda with nothing changed."),
        (recipe_of("grojeda", model__base="minilm"), {},
         "Not a reproduction of grojeda: model.base is minilm, not distilbert."),
        (recipe_of("grojeda", train__precision="bf16"), {},
         f"A run of grojeda with {UNSPECIFIED}: train.precision is bf16, not fp32."),
        (recipe_of("grojeda", train__seed=7), {},
         "A run of grojeda with another seed: train.seed is 7, not 42."),
        (recipe_of("deepaxion"), {"precision": "bf16", "precision_wanted": "fp16"},
         "Not a reproduction of DeepAxion: train.precision is bf16, not fp16."),
    ],
)  # fmt: skip
def test_the_page_begins_with_the_verdict_and_says_whether_it_is_a_reproduction(
    recipe: Recipe, provenance: dict[str, str], expected: str
) -> None:
    outputs = outputs_of(recipe, **provenance)
    assert headline(recipe, list_settings(recipe, outputs.run.provenance)) == expected
    card = card_of(outputs)
    assert card.split("---\n")[2].strip().startswith(f"**{expected}**")
    page = html.unescape(words_of(outputs))
    lines = page[page.index("<main>") :].splitlines()
    assert find(outputs).sentence in lines[1]
    assert expected in lines[3]


@pytest.mark.parametrize("card", read_files(ROOT).cards)
def test_what_a_card_leaves_unspecified_is_listed_with_the_reason(card: str) -> None:
    recipe = recipe_of(card)
    listed = list_settings(recipe, outputs_of(recipe).run.provenance)
    settings = {s.key: s for s in listed}
    for key, taken in recipe.card.unspecified.items():
        if key in settings:
            assert settings[key].status == ("inferred" if taken.inferred else "unspecified")
            assert settings[key].reason == taken.reason
        else:
            assert key in ("labels", "license")  # nothing was taken in their place
    assert not [s for s in listed if s.status == "deviates"]


@pytest.mark.parametrize(("card", "split"), [("grojeda", "test"), ("llm_project", "train")])
def test_the_model_card_is_one_that_the_hubs_library_accepts(card: str, split: str) -> None:
    outputs = outputs_of(recipe_of(card))
    read: Any = ModelCard(card_of(outputs)).data
    assert read.base_model == outputs.run.recipe.base.repository
    accuracy = next(r for r in read.eval_results if r.metric_type == "accuracy")
    assert accuracy.metric_value == outputs.run.metrics["evaluate.accuracy"]
    assert accuracy.dataset_type == "stanfordnlp/imdb"
    assert accuracy.dataset_split == split
    assert accuracy.dataset_revision == "e6281661ce1c48d982bc483cf8a173c1bbeb5d31"
    assert read.license == outputs.run.recipe.card.license


def test_a_model_card_explains_no_column_that_its_table_does_not_have() -> None:
    outputs = outputs_of(recipe_of("grojeda"))
    assert "Other test rows" in page_of(outputs)
    assert "ther test rows" not in card_of(outputs)


def test_a_model_cards_tables_hold_any_text() -> None:
    outputs = with_card(outputs_of(recipe_of("grojeda")), title="a|b", labels=["x|y", "z"])
    lines = card_of(outputs).splitlines()
    settings = [line for line in lines if "stated" in line or ("labels" in line and line[0] == "|")]
    assert {line.replace("\\|", "").count("|") for line in settings} == {6}
    assert any("x\\|y, z" in line for line in settings)


def test_a_model_card_says_where_its_pipeline_reads_otherwise_than_the_run_did() -> None:
    plain, both = (
        card_of(outputs_of(recipe_of("grojeda", tokenize__truncation=part)))
        for part in (None, "head_and_tail")
    )
    assert "of its start and end" not in plain
    assert "of its start and end" in both


class Tags(HTMLParser):
    """Collects the tags of a page and whatever it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.sources: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.sources += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and data.strip():
            self.scripts.append(data)


@pytest.fixture(scope="module")
def page() -> str:
    """A page with all its figures, of a card with a hostile title."""
    return page_of(with_card(outputs_of(recipe_of("grojeda")), title="<script>alert(1)</script>"))


def test_the_page_asks_nothing_of_anyone_and_runs_its_own_script_alone(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert tags.names.count("script") == 1
    assert {"img", "link", "iframe", "object"}.isdisjoint(tags.names)
    assert all(source.startswith("#") for source in tags.sources)  # marks of the figures
    assert not re.search(r"url\((?!#)|@import", page)
    digest = base64.b64encode(hashlib.sha256(tags.scripts[0].encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert f'content="{policy}"' in html.unescape(page)
    assert "&lt;script&gt;" in page


def test_marks_of_the_figures_are_there_once(page: str) -> None:
    names = re.findall(r' id="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(names)
    figures = [one for one in re.findall("<svg[^>]*>", page) if "aria-hidden" not in one]
    assert len(figures) >= 8 + 2  # two claims
    assert all(re.search('role="img" aria-label="[^"]+"', figure) for figure in figures)


def test_figures_have_the_pages_colours_and_no_others(page: str) -> None:
    used = set(re.findall(r"var\(--([a-z-]+)\)", page))
    assert used <= set(re.findall(r"--([a-z-]+):", page))
    for figure in re.findall("<svg.*?</svg>", page, re.DOTALL):
        assert not re.search("#[0-9a-f]{6};", figure)  # it would be the same in dark mode


def test_the_same_run_gives_the_same_bytes() -> None:
    outputs = outputs_of(recipe_of("hansaht"))
    assert page_of(outputs) == page_of(outputs)


def test_one_class_alone_still_has_a_report() -> None:
    outputs = outputs_of(recipe_of("grojeda"))
    metrics = {k: v for k, v in outputs.run.metrics.items() if k != "evaluate.roc_auc"}
    scored = dataclasses.replace(outputs.scored, labels=np.ones_like(outputs.scored.labels))
    run = dataclasses.replace(outputs.run, metrics=metrics)
    assert "ROC AUC" not in page_of(dataclasses.replace(outputs, run=run, scored=scored))


def test_a_run_too_short_for_a_log_still_has_a_report() -> None:
    outputs = outputs_of(recipe_of("deepaxion"))
    page = page_of(dataclasses.replace(outputs, curve=[], epochs=outputs.epochs[1:]))
    assert "No log" in page
    assert "no training loss was logged" in page


@pytest.mark.parametrize("points", [1, 3, WINDOWS, WINDOWS + 1])
def test_a_short_loss_curve_is_drawn_by_its_points(points: int) -> None:
    curve: Rows = [{"step": s, "epoch": 1, "training_loss": 1 / s} for s in range(1, points + 1)]
    axes = loss_figure(curve, [], []).figure.axes[0]
    marked = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert [np.size(line.get_xdata()) for line in marked] == ([points] if points <= WINDOWS else [])


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
    outputs = outputs_of(recipe_of("grojeda"))
    wrong = outputs.scored.logits[:, ::-1].copy()  # its errors are many; the first ten are shown
    wrong[:10] = [-9, 9]
    plain = with_logits(outputs, wrong)
    texts = dict(enumerate(EVIL))
    evil = dataclasses.replace(plain, texts_of=lambda places: [texts[i] for i in places])
    page, usual = words_of(evil), words_of(plain)
    tags, usual_tags = Tags(), Tags()
    tags.feed(page)
    usual_tags.feed(usual)
    assert tags.names == usual_tags.names  # no text became a tag
    assert tags.sources == usual_tags.sources
    assert "&lt;script&gt;alert(1)" in page
    assert "{{ 7 * 7 }}" in page
    assert "good &amp; bad" in page
    assert "nul , bell , escape [31m and alone" in page
    assert not re.search("[\0\a\x1b\ud800\u200f\u202a-\u202e\u2066-\u2069]", page)
    assert len(page) < len(usual) + 5_000
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
    outputs = outputs_of(recipe_of("grojeda"))
    page = words_of(outputs)
    for sentence in explained(outputs).values():
        assert f"<p>{sentence}</p>" in page
    for heading in ("Claims", "Calibration", "Selective prediction", "Accuracy by length",
                    "Most confident errors", "Label issues", "Duplicates", "Recipe",
                    "Data"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in page
    headings = [int(h) for h in re.findall(r"<h(\d)", page)]
    assert headings[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))
    assert all("scope=" in tag for tag in re.findall(r"<th\b[^>]*>", page))
    assert f"{find(outputs).texts[0]}</td>" in page


def test_temperature_is_fitted_on_validation_rows_only() -> None:
    outputs = outputs_of(recipe_of("grojeda"))
    found, said = find(outputs).analysis, explained(outputs)["calibration"]
    assert found.temperature and found.scaled
    assert f"temperature of {found.temperature.temperature:.3g}, fitted on 100 valid" in said
    assert f"{found.scaled.error:.3f} (without: {found.calibration.error:.3f})" in said
    for card, why in (("llm_project", "would be fitted on the test"),
                      ("hansaht", "would be fitted on the test"),
                      ("deepaxion", "this run validates on no rows")):  # fmt: skip
        other = outputs_of(recipe_of(card))
        assert explained(other)["calibration"].endswith(f"{why}.")
        assert (record_of(other)["temperature"], record_of(other)["scaled"]) == (None, None)
        assert reliability_figure(find(other).analysis.calibration, None).axes
    labels = outputs.scored.labels
    for logits, why in ((np.eye(2)[labels], "favours no wrong label on the 100 validation rows"),
                        (-np.eye(2)[labels], "favours wrong labels as much")):  # fmt: skip
        validation = Predictions(np.arange(100), labels, logits)
        odd = dataclasses.replace(outputs, validation=validation)
        assert why in explained(odd)["calibration"]
        assert record_of(odd)["temperature"]["temperature"] is None


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        ((3.0,), ["single review", "0 errors on 1 review,", "Only one label", "accuracy 100"]),
        ((-3.0,), ["single review", "1 error on 1 review, 1 listed", "accuracy 0.00"]),
        ((2.0, 2.0, 2.0), ["equally confident in every review", "0 errors on 3 reviews",
                           "finds 0 possible label issues", "underconfident"]),
        ((0.0, 0.0), ["equally confident", "1 error on 2 reviews", "well calibrated"]),
        ((-4.0, -3.0, -2.0), ["3 errors on 3 reviews, 3 listed", "67\u00a0% of reviews",
                              "overconfident"]),
        ((1e30, -1e30, 5.0), ["1 error on 3 reviews", "over 0.9999"]),
        ((1.0, 2.0), ["50\u00a0% of reviews with the highest confidence"]),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_sentences_and_figures_stand_the_edges(
    margins: tuple[float, ...], expected: list[str]
) -> None:
    outputs = with_margins(outputs_of(recipe_of("grojeda")), *margins)
    page = page_of(outputs)
    for words in expected:
        assert words in page
    json.dumps(record_of(outputs), allow_nan=False)


def test_the_sentence_on_lengths_knows_none_all_and_some() -> None:
    outputs = outputs_of(recipe_of("grojeda"))
    full = outputs.reviews.full_lengths
    assert "on reviews longer than the 384 tokens" in explained(outputs)["lengths"]
    assert "Fisher’s exact test, p = " in explained(outputs)["lengths"]
    none, every = with_reviews(outputs, lengths=full), with_reviews(outputs, lengths=full - 1)
    assert explained(none)["lengths"].endswith("none is truncated.")
    assert record_of(none)["truncated"]["accuracy"] is None
    assert explained(every)["lengths"].startswith("Every review is longer than")


def test_the_sentence_on_duplicates_knows_none_some_and_all() -> None:
    outputs = outputs_of(recipe_of("grojeda"))
    first, every = np.arange(100) == 0, np.ones(100, dtype=bool)
    right = outputs.scored.logits.argmax(axis=1) == outputs.scored.labels
    assert explained(outputs)["duplicates"] == (
        "No scored text is among the training or validation rows, and none is scored twice."
    )
    assert explained(with_reviews(outputs, in_train=first))["duplicates"] == (
        "Of 100 scored texts, 1 also among the training or validation rows, 0 repeating an earlier "
        f"one. Without these accuracy is {percent(right[1:].mean())} (with them: "
        f"{percent(right.mean())})."
    )
    known = with_reviews(outputs, in_train=every)
    assert "Without these no row is left" in explained(known)["duplicates"]
    overlap = record_of(known)["duplicates"]["overlap"]
    assert (overlap["rows"], overlap["accuracy_of_others"]) == (100, None)
    assert "training rows, and" in explained(outputs_of(recipe_of("hansaht")))["duplicates"]


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0.00"), (1, "100.00"), (0.99999, "over 99.99"), (1e-9, "under 0.01"), (0.5, "50.00")],
)
def test_a_share_is_never_rounded_to_none_or_all(share: float, shown: str) -> None:
    assert percent(share) == f"{shown}\u00a0%"


def test_the_cards_epochs_and_ours_are_side_by_side_whichever_has_more() -> None:
    outputs = outputs_of(recipe_of("hansaht"))
    claims = outputs.run.recipe.card.claims
    rows = [["No log", *claims.epochs[0][1:]], *claims.epochs[1:]]
    other = with_card(outputs, claims=claims.model_copy(update={"epochs": rows}))
    table = epochs_table(find(other), with_card=True)
    assert [row[0] for row in table.rows] == ["1", "2", "3", "4", "5"]  # of which we ran two
    assert table.rows[0][1:] == [
        ("No log", "0.2336"), ("1563", "1,563"), ("0.2718", "0.2718"), ("0.903", "0.9100"),
    ]  # fmt: skip
    assert table.rows[4][1:] == [
        ("0.034", "-"), ("7815", "-"), ("0.3494", "-"), ("0.9329", "-"),
    ]  # fmt: skip
    alone = epochs_table(find(other), with_card=False)
    assert [row[4] for row in alone.rows] == ["0.9100", "0.9200"]
    assert "No log" in words_of(other)


NASTY = "A</h1><script>alert('x')</script> | [x](javascript:y) **b**\n\n---\n# B\u202e\x00"


def test_no_text_of_a_card_breaks_the_model_card() -> None:
    usual = outputs_of(recipe_of("grojeda"))
    names = ("title", "published_as", "license")
    open_ = {k: v.model_copy(update={"reason": NASTY})
             for k, v in usual.run.recipe.card.unspecified.items()}  # fmt: skip
    nasty = with_card(usual, **dict.fromkeys(names, NASTY), labels=[NASTY, "b"], unspecified=open_)
    text = render_model_card(find(nasty), [NASTY, "b"])
    expected = render_model_card(find(usual), ["negative", "positive"])
    for hostile in ("<script", "\u202e", "\x00"):
        assert hostile not in text
    cells = [re.findall(r"(?<!\\)\|", line) for line in text.splitlines()]
    assert cells == [re.findall(r"(?<!\\)\|", line) for line in expected.splitlines()]
    known = vars(ModelCard(expected).data)
    assert vars(ModelCard(text).data) == known | {"license": "other"}


@given(st.text())
def test_text_in_one_line_is_text(text: str) -> None:
    found = one_line(text)
    assert found.isprintable()
    assert not re.search(r"<[A-Za-z/!?]", found)
    assert not re.search(r"(?<!\\)(\\\\)*[|\[*]", found)


def test_earlier_runs_are_spoken_of_only_where_they_count() -> None:
    """None are known of runs on 3,000 reviews."""
    for rows, used in ((25_000.0, True), (3_000.0, False)):
        run = {"evaluate.accuracy": 0.925, "split.train_rows": rows, "evaluate.rows": 25_000.0}
        assert _earlier_used(judge_claims(recipe_of("grojeda"), [run])) is used
        pair = judge_claims(recipe_of("grojeda"), [run, run | {"evaluate.accuracy": 0.926}])
        assert _earlier_used(pair) is used
