"""params.yaml: the cards as published, every fault at once, and what counts as a deviation."""

import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cardproof.recipe.params import ParamsError, Recipe, load_recipe, resolve
from tests.conftest import ROOT, SHARED

SST2 = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
PLAIN = "distilbert/distilbert-base-uncased"
EPOCH_TABLES = {
    "llm_project": "0.0743 1.0 1250 0.1208 0.9696, 0.145 2.0 2500 0.0852 0.9804, "
    "0.0322 3.0 3750 0.1043 0.9822",
    "hansaht": "0.2336 1.0 1563 0.2718 0.903, 0.162 2.0 3126 0.2392 0.9277, "
    "0.0971 3.0 4689 0.3191 0.9312, 0.0535 4.0 6252 0.3211 0.9334, 0.034 5.0 7815 0.3494 0.9329",
}
# The five cards as published, written down apart from params.yaml. Columns: base; validation,
# its share, scored rows; max length; learning rate, warm-up, decay; batches; epochs; best
# reloaded; precision; labels; licence.
CARDS: dict[str, tuple[Any, ...]] = {
    "grojeda": (PLAIN, "holdout", 0.1, "test", "all", 384, 2e-5, 0, 0.01, 16, 32, 2, True, "fp32",
                None, "apache-2.0"),
    "deepaxion": (SST2, "none", None, "test", "all", 512, 2e-5, 0, 0.0, 8, 8, 3, False, "fp16",
                  ["Negative", "Positive"], "mit"),
    "template": (PLAIN, "none", None, "test", 100, 512, 2e-5, 0, 0.0, 16, 16, 3, False, "fp32",
                 ["NEGATIVE", "POSITIVE"], "mit"),
    "llm_project": (SST2, "holdout", 0.2, "validation", "all", 512, 2e-5, 100, 0.0, 16, 16, 3,
                    True, "fp32", None, "apache-2.0"),
    "hansaht": (PLAIN, "test", None, "test", "all", 512, 2e-5, 0, 0.0, 16, 16, 5, False, "fp32",
                None, None),
}  # fmt: skip
CLAIMS: dict[str, dict[str, str]] = {
    "grojeda": {"accuracy": "0.9256", "loss": "0.2435", "steps": "~2,814",
                "train_rows": "≈22.5k", "validation_rows": "≈2.5k"},
    "deepaxion": {"accuracy": "94%", "recall": "94%", "precision": "94%", "f1": "93%",
                  "averaging": "macro", "parameters": "67M", "model_mebibytes": "255",
                  "train_rows": "25,000", "test_rows": "25,000"},
    "template": {"accuracy": "XX.XX%", "f1": "X.XXXX", "precision": "XX.XX%", "recall": "XX.XX%",
                 "milliseconds_per_example": "~X.XX ms", "train_rows": "25,000",
                 "scored_rows": "100"},
    "llm_project": {"loss": "0.0852", "accuracy": "0.9804"},
    "hansaht": {"loss": "0.3494", "accuracy": "0.9329", "parameters": "67M"},
}  # fmt: skip
# What each card leaves open, as far as a reader would ask.
SILENT = {
    "grojeda": {"train.precision", "train.load_best"},
    "deepaxion": {"train.learning_rate", "train.weight_decay", "train.seed", "train.precision",
                  "split.validation", "evaluate.batch_size", "train.load_best"},
    "template": {"tokenize.max_length", "train.scheduler", "train.weight_decay", "train.seed",
                 "split.seed", "split.validation", "train.precision", "evaluate.batch_size"},
    "llm_project": {"tokenize.max_length", "split.test_size", "split.validation"},
    "hansaht": {"tokenize.max_length", "split.validation", "labels", "license",
                "train.precision"},
}  # fmt: skip
PINS = {
    "imdb": ("stanfordnlp/imdb", "e6281661ce1c48d982bc483cf8a173c1bbeb5d31"),
    "distilbert": (PLAIN, "12040accade4e8a0f71eabdb258fecc2e7e948be"),
    "distilbert-sst2": (SST2, "714eb0fa89d2f80546fda750413ed43d93601a13"),
    "minilm": ("sentence-transformers/all-MiniLM-L6-v2",
               "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"),
}  # fmt: skip


@pytest.fixture
def raw() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
    return loaded


def recipe_of(raw: dict[str, Any], card: str) -> Recipe:
    return resolve(raw | {"card": card})


@pytest.mark.parametrize("card", CARDS)
def test_a_card_is_the_published_recipe(raw: dict[str, Any], card: str) -> None:
    recipe = recipe_of(raw, card)
    split, train = recipe.split, recipe.train
    assert (
        recipe.base.repository, split.validation, split.test_size, split.scored,
        split.scored_rows, recipe.tokenize.max_length, train.learning_rate, train.warmup_steps,
        train.weight_decay, train.batch_size, recipe.evaluate.batch_size, train.epochs,
        train.load_best, train.precision, recipe.card.labels, recipe.card.license,
    ) == CARDS[card]  # fmt: skip
    assert (train.scheduler, train.betas, train.epsilon) == ("linear", [0.9, 0.999], 1e-8)
    assert (train.seed, train.max_steps, train.logging_steps) == (42, -1, 500)
    assert split.seed == (42 if "holdout" in CARDS[card] or card == "template" else None)
    assert recipe.reviews.repository == "stanfordnlp/imdb"
    assert recipe.deviations == []


@pytest.mark.parametrize("card", CARDS)
def test_claims_and_silences_are_the_published_ones(raw: dict[str, Any], card: str) -> None:
    published = recipe_of(raw, card).card
    claims = published.claims.model_dump(exclude_defaults=True, exclude_none=True)
    table = claims.pop("epochs", [])
    assert claims == CLAIMS[card]
    assert ", ".join(" ".join(row) for row in table) == EPOCH_TABLES.get(card, "")
    assert set(published.silent) >= SILENT[card]


def test_pins_are_the_published_ones(raw: dict[str, Any]) -> None:
    for name, pin in PINS.items():
        source = (raw["reviews"] | raw["bases"])[name]
        assert (source["repository"], source["revision"]) == pin


def test_sums_are_the_published_ones(raw: dict[str, Any]) -> None:
    document = SHARED / "PINS.md"
    if not document.is_file():
        pytest.skip(f"needs the published sums in ../{SHARED.name}/PINS.md")
    text = document.read_text()
    reviews = raw["reviews"]["imdb"]
    sums = [reviews["train"]["sha256"], reviews["test"]["sha256"]]
    for name in ("distilbert", "distilbert-sst2", "minilm"):
        sums += raw["bases"][name]["files"].values()
    assert len(sums) == 15
    sums.append(reviews["archive"]["md5"])
    assert [s for s in sums if s not in text] == []


def test_every_fault_is_reported_at_once_with_key_value_and_remedy(raw: dict[str, Any]) -> None:
    raw["train"] |= {"epochs": 0, "epoch": 3, "seed": "x", "precision": "fp8", "betas": [0.9]}
    raw["train"] |= {"learning_rate": float("nan"), "load_best": "yes", "batch_size": True}
    raw["split"] |= {"test_size": 1.5, "scored_rows": "most"}
    raw["tokenize"]["max_length"] = 1024
    raw["model"]["base"] = "minilmm"
    raw["cards"]["hansaht"]["silent"]["train.lr"] = "why"
    raw["cards"]["hansaht"]["base"] = "bert"
    del raw["cards"]["template"]["split"]["seed"]
    raw["reviews"]["imdb"]["train"]["sha256"] = "z"
    raw["cards"]["v1.0"] = raw["cards"]["grojeda"]
    raw["a["] = raw["data"]["int"] = raw["data"]["\n"] = 1  # as a union's branches are called
    with pytest.raises(ParamsError) as caught:
        resolve(raw)
    expected = [
        "train.epochs: 0 must be greater than 0, or null",
        "train.epoch: no such key; did you mean epochs?",
        "train.seed: 'x' must be a whole number",
        "train.precision: 'fp8' must be 'fp32', 'bf16' or 'fp16'",
        "train.betas: [0.9] must have 2 items or more",
        "train.learning_rate: nan must be",
        "train.load_best: 'yes' must be true or false",
        "train.batch_size: True must be a whole number",
        "split.test_size: 1.5 must be less than 1",
        "split.scored_rows: 'most' must be a whole number",
        "model.base: 'minilmm' is not in bases; did you mean minilm?",
        "cards.hansaht: silent: train.lr is not a key of this card",
        "cards.hansaht.base: 'bert' is not in bases",
        "cards.template.split.seed: missing; add it",
        "reviews.imdb.train.sha256: 'z' must be a sha256",
        "cards.v1.0: 'v1.0' must be a name of letters, digits, - and _",
        "a[: no such key; known: card, data",
        "data.int: no such key",
        "data.\\n: no such key; known: reviews",
    ]
    message = str(caught.value)
    assert [e for e in expected if e not in message] == []
    assert len(caught.value.faults) == len(expected), message


@pytest.mark.parametrize(
    ("section", "changes", "expected"),
    [
        ("tokenize", {"max_length": 513}, "tokenize.max_length: 513 is over the 512 positions"),
        ("split", {"validation": "none"}, "train.load_best: true needs validation rows"),
        ("split", {"validation": "none", "scored": "validation"}, "needs validation rows"),
        ("split", {"scored_rows": 7}, "scored_rows: 7 must be all, or even"),
        ("train", {"max_steps": 0}, "max_steps: 0 trains nothing"),
        ("verdict", {"share_margin": -0.1}, "verdict.share_margin: -0.1 must be at least 0"),
        ("verdict", {"level": 95}, "verdict.level: 95 must be less than 1"),
        ("data", {"reviews": "imbd"}, "data.reviews: 'imbd' is not in reviews; did you mean imdb?"),
    ],
)
def test_values_that_do_not_fit_together_are_faults(
    raw: dict[str, Any], section: str, changes: dict[str, Any], expected: str
) -> None:
    raw[section] |= changes
    with pytest.raises(ParamsError, match=expected.replace("(", r"\(")):
        resolve(raw)


def test_an_unknown_card_is_a_fault(raw: dict[str, Any]) -> None:
    with pytest.raises(ParamsError, match="card: 'grojed' is not in cards; did you mean grojeda"):
        recipe_of(raw, "grojed")


@pytest.mark.parametrize("content", ["", "- a\n", "a: [", "card: x\ncard: y\n", "\x00", "42"])
def test_a_file_that_is_no_mapping_is_a_fault(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(ParamsError):
        load_recipe(path)


def test_overrides_are_deviations_only_where_they_differ_from_the_card(raw: dict[str, Any]) -> None:
    before = copy.deepcopy(raw)
    raw["train"] |= {"epochs": 3, "seed": 42}
    raw["model"]["base"] = "minilm"
    raw["data"]["limit"] = 2000
    recipe = recipe_of(raw, "grojeda")
    found = {d.key: (d.card, d.ours) for d in recipe.deviations}
    assert found == {
        "train.epochs": (2.0, 3.0),
        "model.base": ("distilbert", "minilm"),
        "data.limit": (None, 2000),
    }
    assert recipe.train.epochs == 3
    assert recipe.base.repository == "sentence-transformers/all-MiniLM-L6-v2"
    assert recipe.card == recipe_of(before, "grojeda").card


def test_a_stage_prints_faults_without_a_traceback_and_exits_with_2(
    tmp_path: Path, run: Any
) -> None:
    text = (ROOT / "params.yaml").read_text().replace("  epochs: null", "  epochs: 0")
    (tmp_path / "params.yaml").write_text(text)
    for package in ("cardproof", "stages"):
        (tmp_path / package).symlink_to(ROOT / package)
    done: subprocess.CompletedProcess[str] = run("python", "-m", "stages.train", cwd=tmp_path)
    assert done.returncode == 2
    assert "train.epochs: 0 must be greater than 0" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_claim_that_is_no_printed_figure_is_a_fault_and_no_log_is_not(
    raw: dict[str, Any],
) -> None:
    claims = raw["cards"]["grojeda"]["claims"]
    claims["accuracy"] = "about 94"
    claims["epochs"] = [["No log", "1.0", "one", "0.3", "0.9"]]
    with pytest.raises(ParamsError) as caught:
        resolve(raw)
    assert len(caught.value.faults) == 2
    assert "cards.grojeda.claims.accuracy: 'about 94' is no figure" in str(caught.value)
    assert "cards.grojeda.claims.epochs.0.2: 'one' is no figure" in str(caught.value)
