"""Drafts of cards: made-up ones, the five documents, other people's, and hostile ones."""

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cardproof.audit.reading import LARGEST, decode
from cardproof.draft.drafting import (
    Draft,
    DraftError,
    as_entries,
    as_yaml,
    draft_card,
    faults_with,
)
from cardproof.draft.sources import entry_name, find_entry, read_sources
from cardproof.recipe.load import load_recipe, read_files, resolve
from cardproof.recipe.schema import SECTIONS, Card
from tests.conftest import ROOT
from tests.draft.cards import SHARED, TRAINER, trainer_written_imdb_cards, without_line_breaks

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="real cards are not part of this repository (../shared)"
)
FILES = read_files(ROOT)
SOURCES = read_sources(FILES.sources)
DOCUMENTS = {
    "grojeda": "000_af66e556c7e49982.txt",
    "deepaxion": "001_c544d7c4c68be5b4.txt",
    "template": "002_3776f67f14f5d40f.txt",
    "llm_project": "003_9b8b32a0402c04e6.txt",
    "hansaht": "004_d17be5f880e42f42.txt",
}


def drafted(text: str) -> Draft:
    """The draft of a card, which a run must accept."""
    draft = draft_card(text, SOURCES)
    assert faults_with(as_yaml(draft), draft.name, FILES) == []
    return draft


def resolved(draft: Draft) -> Card:
    """What a run of the draft would take for its card."""
    card = parsed(draft)
    cards = {**FILES.cards, "drafted": card}
    return resolve(replace(FILES, cards=cards, params={**FILES.params, "card": "drafted"})).card


def parsed(draft: Draft) -> Any:
    return YAML(typ="safe", pure=True).load(as_yaml(draft))


def edited(**changes: str) -> str:
    """The made-up card with lines of its list replaced, by name; an empty value removes one."""
    text = TRAINER
    for name, value in changes.items():
        line = f"- {name}: {value}\n" if value else ""
        text, count = re.subn(rf"^- {name}: .*\n", line, text, flags=re.M)
        if not count:
            text = text.replace("- learning_rate:", f"{line}- learning_rate:")
    return text


# ------------------------------------------------------------------ what is read


@pytest.mark.parametrize("layout", [str, without_line_breaks])
def test_a_card_of_the_trainer_is_read_whatever_its_layout(layout: Any) -> None:
    draft = drafted(layout(TRAINER))
    card = draft.card
    assert draft.name == card["title"] == card["published_as"] == "made-up-model"
    assert (card["reviews"], card["base"], card["license"]) == ("imdb", "distilbert", "apache-2.0")
    assert card["train"] == {
        "learning_rate": 3e-5,
        "scheduler": "cosine",
        "betas": [0.9, 0.98],
        "epsilon": 1e-6,
        "epochs": 3,
        "seed": 7,
        "precision": "fp16",
    }
    assert card["evaluate"] == {"batch_size": 64}
    assert card["claims"]["accuracy"] == "0.9312"
    assert card["claims"]["epochs"][0] == ["No log", "1.0", "704", "0.2011", "0.9312"]
    values = {key: entry["value"] for key, entry in card["inferred"].items()}
    assert values == {
        "split.validation": "holdout",
        "split.test_size": 0.1,
        "split.scored": "validation",
        "train.batch_size": 32,
        "train.warmup_steps": 212,
        "train.load_best": True,
    }
    reasons = {key: entry["reason"] for key, entry in card["inferred"].items()}
    assert "704 steps an epoch x 32 rows are 22,500" in reasons["split.test_size"]
    assert reasons["train.batch_size"] == "16 rows x 1 devices x 2 accumulated passes"
    assert reasons["train.warmup_steps"] == "0.1 of 2,112 steps"
    assert card["assumed"]["split.seed"]["value"] == 7
    assert [note.partition(":")[0] for note in draft.unplaced] == ["label_smoothing_factor"]


def test_a_file_is_as_short_as_one_by_hand_and_says_what_it_leaves_out() -> None:
    draft = drafted(TRAINER)
    text = as_yaml(draft)
    assert 25 <= len(text.splitlines()) <= 42
    head = " ".join(line.strip("# ") for line in text.splitlines() if line.startswith("#"))
    assert head.endswith(", ".join(draft.defaults))
    assert "learning_rate: 3e-05" in text
    assert "- [No log, '1.0', '704', '0.2011', '0.9312']" in text


@pytest.mark.parametrize(
    "text",
    [TRAINER, edited(num_epochs="", seed=""), "imdb\nfine-tuned from distilbert-base-uncased"],
)
def test_what_is_said_to_be_left_to_the_defaults_is_what_the_recipe_takes_as_such(
    text: str,
) -> None:
    draft = drafted(text)
    reasons = {**draft.card.get("inferred", {}), **draft.card.get("assumed", {})}
    unspecified = resolved(draft).unspecified.keys() - reasons.keys()
    never_stated = {"split.scored", "split.scored_rows", "tokenize.truncation", "train.max_steps"}
    assert set(draft.defaults) - never_stated == unspecified


@pytest.mark.parametrize(
    ("changes", "key", "value"),
    [
        ({"optimizer": "Adam with betas=(0.8,0.9) and epsilon=1e-07"}, "train.epsilon", 1e-7),
        ({"lr_scheduler_warmup_steps": "50"}, "train.warmup_steps", 50),
        ({"num_epochs": "", "training_steps": "900"}, "train.max_steps", 900),
        ({"num_epochs": "0.5"}, "train.epochs", 0.5),
        ({"total_train_batch_size": "", "num_devices": "2"}, "train.batch_size", 64),
        ({"mixed_precision_training": ""}, "train.precision", None),
        ({"seed": "-1"}, "train.seed", None),
    ],
)  # fmt: skip
def test_a_line_of_the_list(changes: dict[str, str], key: str, value: object) -> None:
    card = drafted(edited(**changes)).card
    section, _, field = key.partition(".")
    reasoned = card.get("inferred", {}).get(key, {}).get("value")
    assert card.get(section, {}).get(field, reasoned) == value


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimizer": "Adafactor"}, "optimizer: Adafactor"),
        ({"optimizer": "Use paged_adamw_8bit with betas=(0.9,0.999)"}, "trained with AdamW here"),
        ({"num_epochs": "three"}, "num_epochs: three: no key"),
        ({"lr_scheduler_warmup_ratio": "many"}, "lr_scheduler_warmup_ratio"),
    ],
)
def test_what_no_key_takes_is_told(changes: dict[str, str], told: str) -> None:
    assert any(told in note for note in drafted(edited(**changes)).unplaced)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"lr_scheduler_type": "polynomial"}, "train.scheduler"),
        ({"learning_rate": "2000"}, "train.learning_rate"),
        ({"total_train_batch_size": "9999"}, "train.batch_size"),
    ],
)
def test_a_value_that_runs_refuse_is_drafted_and_named(changes: dict[str, str], key: str) -> None:
    faults = faults_with(as_yaml(draft_card(edited(**changes), SOURCES)), "x", FILES)
    assert [fault.split(": ")[1] for fault in faults] == [key]


PROSE = """\
# someone/a-classifier
fine-tuned from distilbert-base-uncased on the imdb dataset. License: MIT. Trained on a GPU.
The training rows were split 85/15 (seed 3) for validation. Reviews were truncated to 256 tokens.
We used AdamW with a learning rate of 4e-5, cosine decay, 100 warmup steps and weight decay 0.02,
batch size of 24 and evaluation batch size of 48, for 4 epochs in mixed precision (bf16), seed 11.
The best checkpoint was restored at the end. Early stopping was used.
On the test set of 500 samples it has an accuracy of 91.4% and an F1 (macro) of 0.912.
`pipeline(model="someone/a-classifier")` gives `[{'label': 'NEG', 'score': 0.9}]`, `'label': 'POS'`.
"""


def test_prose() -> None:
    draft = drafted(PROSE)
    card = draft.card
    assert card["published_as"] == "someone/a-classifier"
    assert (card["labels"], card["license"]) == (["NEG", "POS"], "mit")
    assert card["split"] == {
        "validation": "holdout", "test_size": 0.15, "seed": 3, "scored": "test", "scored_rows": 500,
    }  # fmt: skip
    assert card["tokenize"] == {"max_length": 256}
    assert card["train"] == {
        "learning_rate": 4e-5, "scheduler": "cosine", "warmup_steps": 100, "weight_decay": 0.02,
        "batch_size": 24, "epochs": 4, "precision": "bf16",
    }  # fmt: skip
    assert card["evaluate"] == {"batch_size": 48}
    assert card["claims"] == {
        "accuracy": "91.4%", "f1": "0.912", "averaging": "macro", "scored_rows": "500",
    }  # fmt: skip
    assert card["assumed"]["train.load_best"]["value"] is True
    assert list(draft.unplaced) == ['"Early stopping was used.": no key of a card takes it']


@pytest.mark.parametrize(
    ("printed", "drafted_as", "note"),
    [
        ("93.1", "93.1%", "accuracy 93.1: taken for 93.1%"),
        ("93,1", "93.1%", "accuracy 93,1: taken for 93.1%"),
        ("93,12 %", "93.12 %", "accuracy 93,12 %: taken for 93.12 %"),
        ("0,9355", "0.9355", "accuracy 0,9355: taken for 0.9355"),
        ("93.1%", "93.1%", None),
        ("0.9355", "0.9355", None),
    ],
)
def test_a_percentage_without_its_sign_and_a_decimal_comma_are_drafted_as_what_they_are(
    printed: str, drafted_as: str, note: str | None
) -> None:
    draft = drafted(TRAINER.replace("- Accuracy: 0.9312", f"- Accuracy: {printed}"))
    assert draft.card["claims"]["accuracy"] == drafted_as
    assert [one for one in draft.unplaced if "taken for" in one] == ([note] if note else [])


def test_a_table_of_percentages_without_their_sign_is_drafted_with_it() -> None:
    draft = drafted(TRAINER.replace("| 0.93", "| 93."))
    assert [row[-1] for row in draft.card["claims"]["epochs"]] == ["93.12%", "93.44%", "93.28%"]
    assert "accuracy 93.12 in its table: taken for 93.12%" in draft.unplaced


# ------------------------------------------------------------------ what follows from figures


def table(steps: int, *losses: str, accuracy: str = "0.9") -> str:
    """The made-up card with another table: so many steps an epoch, a validation loss each."""
    head, _, rest = TRAINER.partition("| Training Loss")
    rows = [
        f"| 0.2 | {epoch}.0 | {steps * epoch} | {loss} | {accuracy} |"
        for epoch, loss in enumerate(losses, start=1)
    ]
    lines = ["| Training Loss | Epoch | Step | Validation Loss | Accuracy |", "|-|-|-|-|-|", *rows]
    return head + "\n".join(lines) + "\n\n" + rest.partition("\n\n\n")[2]


@pytest.mark.parametrize(
    ("steps", "validation", "share", "limit", "told"),
    [
        (782, "test", None, None, ""),  # 32 rows a step: 24,993 to 25,024
        (625, "holdout", 0.2, None, ""),
        (704, "holdout", 0.1, None, ""),
        (94, None, None, 3000, 'run it with -S data.limit=3000; its verdicts will be "not comp'),
        (1250, None, None, None, "more than train has"),
    ],
)
def test_steps_give_the_split_away(
    steps: int, validation: str | None, share: float | None, limit: int | None, told: str
) -> None:
    draft = drafted(table(steps, "0.2011", "0.3"))
    assert draft.limit == limit
    inferred = {k: v["value"] for k, v in draft.card.get("inferred", {}).items()}
    assert (inferred.get("split.validation"), inferred.get("split.test_size")) == (
        validation,
        share,
    )
    assert any(told in note for note in draft.unplaced)
    if validation is None:
        assert draft.card["assumed"]["split.validation"]["value"] == "test"


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        (("0.3", "0.25", "0.2011"), None),  # the last has the lowest loss, too: either
        (("0.3", "0.19", "0.2011"), False),
        (("0.3", "0.2011", "0.25"), True),
        (("0.2011", "0.19", "0.25"), None),
        (("0.3", "0.2", "0.25"), None),  # the headline is no row of the table
    ],
)
def test_the_headline_gives_the_best_epoch_away(losses: tuple[str, ...], best: bool | None) -> None:
    draft = drafted(table(782, *losses))
    assert draft.card["inferred"].get("train.load_best", {}).get("value") is best


def test_a_training_loss_before_the_defaults_first_log_is_of_another_interval() -> None:
    assert drafted(table(391, "0.2011")).card["assumed"]["train.logging_steps"]["value"] == 391
    assert "train.logging_steps" in drafted(table(782, "0.2011")).defaults


@pytest.mark.parametrize(
    ("accuracy", "f1", "rows"),
    [
        ("0.8766666666666667", None, 300),
        ("0.8733333333333333", None, 150),  # or of a multiple
        ("0.8733333333333333", "0.875", 300),  # of 150 rows, F1 is never 0.875
        ("0.8733333333333333", "0.87511", None),
        ("0.8733333333333333", "0.8750000000000001", 300),
    ],
)
def test_an_accuracy_with_all_its_digits_gives_its_rows_away_if_f1_fits(
    accuracy: str, f1: str | None, rows: int | None
) -> None:
    block = (
        "  results:\n  - task: {type: text-classification}\n    dataset: {name: imdb, type: imdb}\n"
        f"    metrics:\n    - {{type: accuracy, value: {accuracy}}}\n"
    ) + (f"    - {{type: f1, value: {f1}}}\n" if f1 else "")
    without_table = TRAINER.partition("### Training results")[0].replace("  results: []\n", block)
    draft = drafted(without_table.replace("0.9312", accuracy[:6]))
    assert draft.card.get("assumed", {}).get("split.scored_rows", {}).get("value") == rows
    assert draft.card["claims"]["accuracy"] == accuracy[:6]


def test_a_number_of_rows_in_the_name_is_told() -> None:
    text = TRAINER.partition("### Training results")[0].replace("made-up-model", "a-3000-samples")
    assert drafted(text).limit == 3000
    assert any("-S data.limit=3000" in note for note in drafted(text).unplaced)


# ------------------------------------------------------------------ what is refused or missing


def test_other_tasks_are_refused() -> None:
    masked = re.sub(r"\| (?:0.9|F1).*", "|", TRAINER).replace("- Accuracy: 0.9312\n", "")
    masked = re.sub(r"0\.2(\d{3})", r"2.2\1", masked).replace(" Accuracy |", "")
    with pytest.raises(DraftError, match="masked language model"):
        draft_card(masked, SOURCES)
    image = TRAINER.replace(
        "---\nlicense", "---\npipeline_tag: image-\x1bclassification\nlicense", 1
    )
    with pytest.raises(DraftError, match="no text classifier"):
        draft_card(image.replace("\x1b", ""), SOURCES)


def test_a_base_without_an_entry_is_named_with_what_to_add() -> None:
    draft = draft_card(TRAINER.replace("distilbert-base-uncased", "someone/some-bert"), SOURCES)
    assert draft.new_base == ("some-bert", "someone/some-bert")
    assert "'some-bert' is not in bases" in " ".join(faults_with(as_yaml(draft), "x", FILES))


def test_data_without_an_entry_is_named_with_what_to_add() -> None:
    draft = draft_card(TRAINER.replace("imdb", "someone/reviews"), SOURCES)
    assert draft.new_reviews == ("reviews", "someone/reviews")


def test_a_card_that_says_nothing_gets_a_file_that_says_what_is_missing() -> None:
    draft = draft_card("", SOURCES)
    assert [fault.partition(":")[0] for fault in faults_with(as_yaml(draft), "x", FILES)]
    assert "it names no base" in " ".join(draft.unplaced)
    assert "it names no data set" in " ".join(draft.unplaced)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("imdb", "imdb"),
        ("stanfordnlp/imdb", "imdb"),
        ("https://huggingface.co/datasets/stanfordnlp/IMDB", "imdb"),
        ("someone/imdb", None),
        ("imdb-reviews", None),
        ("", None),
    ],
)
def test_entries_are_found_by_repository(name: str, entry: str | None) -> None:
    assert find_entry(name, SOURCES.reviews) == entry


def test_a_new_entry_never_has_the_name_of_another() -> None:
    assert entry_name("someone/distilbert", {}) == "distilbert"
    assert entry_name("someone/distilbert", SOURCES.bases) == "someone-distilbert"
    draft = draft_card(TRAINER.replace("distilbert-base-uncased", "someone/distilbert"), SOURCES)
    assert draft.new_base == ("someone-distilbert", "someone/distilbert")


def test_an_entry_to_add_is_a_line_for_each_file() -> None:
    entry = {"a-bert": {"repository": "owner/a-bert", "files": {"a.json": "0" * 64, "b": "1" * 64}}}
    assert YAML(typ="safe", pure=True).load(as_entries(entry)) == entry
    assert len(as_entries(entry).splitlines()) == 5


# ------------------------------------------------------------------ real cards


# What the hand-written file of a card has and its draft has not, each with the reason. A name is
# for a person to give; the draft's title is the model's.
BY_HAND: dict[str, dict[str, str]] = {
    "grojeda": {},
    "deepaxion": {
        "train.learning_rate": "2e-5 was chosen as the other cards have it; the draft has no other "
        "cards, leaves the default, and prints the line that gives no value",
    },
    "template": {
        "evaluate.batch_size": "16 was assumed as in training; the draft leaves the default",
    },
    "llm_project": {},
    "hansaht": {},
}


@needs_shared
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_drafts_of_the_five_documents_are_the_files_written_by_hand(name: str) -> None:
    text = decode((SHARED / "cards" / DOCUMENTS[name]).read_bytes())[0]
    ours = resolved(drafted(text))
    hand = resolve(replace(FILES, params={**FILES.params, "card": name})).card
    differing = {
        f"{section}.{field}"
        for section in SECTIONS
        for field, value in getattr(hand, section).model_dump().items()
        if getattr(getattr(ours, section), field) != value
    }
    assert differing == BY_HAND[name].keys()
    for field in ("published_as", "reviews", "base", "labels", "license", "claims"):
        assert getattr(ours, field) == getattr(hand, field), field


@needs_shared
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_drafts_leave_open_what_the_files_written_by_hand_leave_open(name: str) -> None:
    text = decode((SHARED / "cards" / DOCUMENTS[name]).read_bytes())[0]
    ours = resolved(drafted(text)).unspecified
    hand = resolve(replace(FILES, params={**FILES.params, "card": name})).card.unspecified
    assert ours.keys() == hand.keys()
    inferred = {key for key, entry in hand.items() if entry.inferred}
    assert {key for key, entry in ours.items() if entry.inferred} == inferred


@needs_shared
def test_the_page_of_drafts_is_what_the_real_cards_give() -> None:
    from dev.study.drafts import render_all

    assert (ROOT / "results/drafts.md").read_text() == render_all(SHARED, FILES)


@needs_shared
def test_every_draft_of_a_real_card_is_what_its_text_parses_to() -> None:
    drafted = 0
    for _, text in trainer_written_imdb_cards():
        try:
            draft = draft_card(text, SOURCES)
        except DraftError:
            continue
        drafted += 1
        assert parsed(draft) == draft.card
        assert len(as_yaml(draft).splitlines()) <= 45
    assert drafted > 40


# ------------------------------------------------------------------ hostile cards

EVIL = [
    "mit\n# injected: yes", "a: b", "{x: 1}", "[", "&a *a", "!!python/object:os.system", "null",
    "yes", "1e5", "'", '"', "\\", "\x07\x1b[31m", "\u2028", "- ", "%TAG", "`", "|", ">", "#",
    "é", "\U0001f600", "claims:\n  accuracy: 1", "---", "...", "\ufeff", "x" * 500,
]  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(EVIL) | st.text(max_size=20), min_size=6, max_size=6))
def test_no_text_of_a_card_becomes_yaml_of_its_own(evil: list[str]) -> None:
    text = TRAINER
    for old, new in zip(
        [
            "license: apache-2.0",
            "made-up-model",
            "distilbert-base-uncased",
            "0.9312",
            "imdb",
            "cosine",
        ],
        [f"license: {evil[0]!r}", *evil[1:]],
        strict=True,
    ):
        text = text.replace(old, new)
    try:
        draft = draft_card(text, SOURCES)
    except DraftError:
        return
    assert parsed(draft) == draft.card
    comments = [line for line in as_yaml(draft).splitlines() if line.startswith("#")]
    listed = " ".join(comments[2:]).replace("#", "").replace(",", "").split()
    assert listed == list(draft.defaults)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", draft.name)
    assert all(note.isprintable() for note in draft.unplaced)


@settings(deadline=None, max_examples=60)
@given(st.text())
def test_any_text_is_drafted(text: str) -> None:
    draft = draft_card(text, SOURCES)
    assert parsed(draft) == draft.card


NASTY = {
    "letters": "a" * LARGEST,
    "spaces": " " * LARGEST,
    "sentences": "a. " * (LARGEST // 3),
    "list": "hyperparameters were used during training:\n" + "- aa: 1\n" * (LARGEST // 8),
    "marks": "hyperparameters were used during training: " + "- a" * (LARGEST // 3),
    "bullets": "* " * (LARGEST // 2),
    "digits": "9" * LARGEST,
    "splits": "valid train 90/10 " * (LARGEST // 18),
    "labels": "0 negative " * (LARGEST // 11),
    "quotes": "model='a/" * (LARGEST // 9),
    "rows": TRAINER + "| 0.1 | 1.0 | 704 | 0.2 | 0.9 | 0.9 |\n" * (LARGEST // 40),
    "names": "---\nmodel-index:\n- name: " + "a " * (LARGEST // 2),
}


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.slow
def test_a_hostile_card_is_drafted_in_time(name: str) -> None:
    start = time.process_time()
    assert as_yaml(draft_card(NASTY[name], SOURCES))
    assert time.process_time() - start < 5


def test_the_repositorys_own_files_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert load_recipe(Path()).name in FILES.cards
