"""The recipe's files: the cards as published, every fault at once, what counts as a deviation."""

import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cardproof.recipe.faults import RecipeError
from cardproof.recipe.load import RawFiles, load_recipe, resolve
from cardproof.recipe.stages import parse_recipe, stage_recipes
from stages import download
from tests.conftest import ROOT, SHARED
from tests.recipe.files import raw_files, recipe_of

SST2 = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
PLAIN = "distilbert/distilbert-base-uncased"
EPOCH_TABLES = {
    "llm_project": "0.0743 1.0 1250 0.1208 0.9696, 0.145 2.0 2500 0.0852 0.9804, "
    "0.0322 3.0 3750 0.1043 0.9822",
    "hansaht": "0.2336 1.0 1563 0.2718 0.903, 0.162 2.0 3126 0.2392 0.9277, "
    "0.0971 3.0 4689 0.3191 0.9312, 0.0535 4.0 6252 0.3211 0.9334, 0.034 5.0 7815 0.3494 0.9329",
}
# The five cards as published, written down apart from cards/. Columns: base; validation,
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
# What each card leaves unspecified, as far as a reader would ask.
UNSPECIFIED = {
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
def raw() -> RawFiles:
    return raw_files()


@pytest.mark.parametrize("card", CARDS)
def test_a_card_is_the_published_recipe(card: str) -> None:
    recipe = recipe_of(card)
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
def test_claims_and_what_is_unspecified_are_the_published_ones(card: str) -> None:
    published = recipe_of(card).card
    claims = published.claims.model_dump(exclude_defaults=True, exclude_none=True)
    table = claims.pop("epochs", [])
    if "averaging" not in CLAIMS[card]:
        assert claims.pop("averaging") == "binary"
        assert published.leaves_open("claims.averaging") == ("f1" in claims)
    assert claims == CLAIMS[card]
    assert ", ".join(" ".join(row) for row in table) == EPOCH_TABLES.get(card, "")
    assert set(published.unspecified) >= UNSPECIFIED[card]


def test_pins_are_the_published_ones(raw: RawFiles) -> None:
    for name, pin in PINS.items():
        source = (raw.sources["reviews"] | raw.sources["bases"])[name]
        assert (source["repository"], source["revision"]) == pin


def test_checksums_are_the_published_ones(raw: RawFiles) -> None:
    document = SHARED / "PINS.md"
    if not document.is_file():
        pytest.skip(f"needs the published checksums in ../{SHARED.name}/PINS.md")
    text = document.read_text()
    reviews = raw.sources["reviews"]["imdb"]
    sums = [reviews["train"]["sha256"], reviews["test"]["sha256"]]
    for name in ("distilbert", "distilbert-sst2", "minilm"):
        sums += raw.sources["bases"][name]["files"].values()
    assert len(sums) == 15
    sums.append(reviews["archive"]["md5"])
    assert [s for s in sums if s not in text] == []


def test_every_fault_is_reported_at_once_with_its_file_key_value_and_remedy(raw: RawFiles) -> None:
    params, cards = raw.params, raw.cards
    params["train"] |= {"epochs": 0, "epoch": 3, "seed": "x", "precision": "fp8", "betas": [0.9]}
    params["train"] |= {"learning_rate": float("nan"), "load_best": "yes", "batch_size": True}
    params["split"] |= {"test_size": 1.5, "scored_rows": "most"}
    params["model"]["base"] = "minilmm"
    cards["hansaht"]["assumed"] = {"train.lr": {"value": 1, "reason": "why"}}
    cards["hansaht"]["base"] = "bert"
    cards["grojeda"]["assumed"]["train.epochs"] = {"value": 3, "reason": "why"}
    cards["deepaxion"]["claims"]["accuracy"] = "about 94"
    cards["deepaxion"]["claims"]["epochs"] = [["No log", "1.0", "one", "0.3", "0.9"]]
    del cards["template"]["published_as"]
    cards["llm_project"]["assumed"]["split.seed"]["value"] = -1
    cards["v1.0"] = cards["sample"]
    raw.sources["reviews"]["imdb"]["train"]["sha256"] = "z"
    params["a["] = params["data"]["int"] = params["data"]["\n"] = (
        1  # as a union's branches are called
    )
    with pytest.raises(RecipeError) as caught:
        resolve(raw)
    expected = [
        "params.yaml: train.epochs: 0 must be greater than 0, or null",
        "params.yaml: train.epoch: no such key; did you mean epochs?",
        "params.yaml: train.seed: 'x' must be a whole number",
        "params.yaml: train.precision: 'fp8' must be 'fp32', 'bf16' or 'fp16'",
        "params.yaml: train.betas: [0.9] must have 2 items or more",
        "params.yaml: train.learning_rate: nan must be",
        "params.yaml: train.load_best: 'yes' must be true or false",
        "params.yaml: train.batch_size: True must be a whole number",
        "params.yaml: split.test_size: 1.5 must be less than 1",
        "params.yaml: split.scored_rows: 'most' must be a whole number",
        "params.yaml: model.base: 'minilmm' is not in bases of sources.yaml; did you mean minilm?",
        "cards/hansaht.yaml: assumed: train.lr is not a key of a recipe",
        "cards/hansaht.yaml: base: 'bert' is not in bases of sources.yaml",
        "cards/grojeda.yaml: train.epochs is stated, and inferred or assumed besides",
        "cards/deepaxion.yaml: claims.accuracy: 'about 94' is no figure",
        "cards/deepaxion.yaml: claims.epochs.0.2: 'one' is no figure",
        "cards/template.yaml: published_as: missing; add it",
        "cards/llm_project.yaml: split.seed: -1 must be at least 0",
        "cards/v1.0.yaml: the name must be of letters, digits, - and _",
        "sources.yaml: reviews.imdb.train.sha256: 'z' must be a sha256",
        "params.yaml: a[: no such key; known: card, data",
        "params.yaml: data.int: no such key",
        "params.yaml: data.\\n: no such key; known: reviews",
    ]
    message = str(caught.value)
    assert [e for e in expected if e not in message] == []
    assert len(caught.value.faults) == len(expected), message


def test_every_key_has_a_default_and_there_are_no_others(raw: RawFiles) -> None:
    raw.defaults["train"]["sead"] = raw.defaults["train"].pop("seed")
    del raw.defaults["claims"]["averaging"]
    with pytest.raises(RecipeError) as caught:
        resolve(raw)
    assert caught.value.faults == [
        "cards/defaults.yaml: train.seed: missing; add it",
        "cards/defaults.yaml: train.sead: no such key",
        "cards/defaults.yaml: claims.averaging: missing; add it",
    ]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"tokenize__max_length": 513}, "tokenize.max_length: 513 is over the 512 positions"),
        ({"split__validation": "none"}, "train.load_best: true needs validation rows"),
        (
            {"split__validation": "none", "split__scored": "validation"},
            "needs validation rows; set validation: holdout",
        ),
        ({"split__scored_rows": 7}, "scored_rows: 7 must be all, or even"),
        ({"train__max_steps": 0}, "max_steps: 0 trains nothing"),
        ({"train__processes": 3}, "train.processes: 3 cannot share a batch of 16 evenly"),
        ({"verdict__share_margin": -0.1}, "verdict.share_margin: -0.1 must be at least 0"),
        ({"verdict__level": 95}, "verdict.level: 95 must be less than 1"),
        ({"data__reviews": "imbd"}, "data.reviews: 'imbd' is not in reviews of sources.yaml"),
        ({"card": "grojed"}, "card: 'grojed' is not in cards/; did you mean grojeda"),
    ],
)
def test_values_that_do_not_fit_together_are_faults(
    overrides: dict[str, object], expected: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve(raw_files(**overrides))
    assert f"params.yaml: {expected}" in str(caught.value) or expected in str(caught.value)
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        ("verdict__share_margin", (math.inf, math.nan), "must be less than 1"),
        ("verdict__loss_margin", (math.inf, math.nan, 1e308), "must be at most 100"),
        ("verdict__level", (math.inf, math.nan), "must be less than 1"),
        ("train__learning_rate", (math.inf, math.nan), "must be at most 1"),
        ("train__learning_rate", (0, 1e-320), "must be at least 1e-30"),
        ("train__epsilon", (1e-320, -math.inf), "must be at least 1e-30"),
        ("train__weight_decay", (math.nan, math.inf), "must be at most 1"),
        ("train__epochs", (math.nan, math.inf), "must be at most 1,000"),
        ("train__warmup_steps", (10**30, 10**5000), "must be at most 1,000,000,000"),
        ("train__max_steps", (10**30, 10**5000), "must be at most 1,000,000,000"),
        ("train__logging_steps", (10**30, 10**5000), "must be at most 1,000,000,000"),
        ("split__scored_rows", (10**30, 10**5000), "must be all, or 1,000,000,000 at most"),
        ("split__test_size", (math.nan, math.inf), "must be less than 1"),
        ("data__limit", (10**30, 10**5000), "must be at most 1,000,000,000"),
        ("data__test_limit", (10**30,), "must be at most 1,000,000,000"),
        ("tokenize__max_length", (10**30, 10**5000), "must be at most 1,000,000,000"),
    ],
)
def test_numbers_that_no_run_can_have_are_faults(
    key: str, values: tuple[float, ...], expected: str
) -> None:
    for value in values:
        with pytest.raises(RecipeError) as caught:
            resolve(raw_files(**{key: value}))
        (fault,) = caught.value.faults
        assert fault.startswith(f"params.yaml: {key.split('__', maxsplit=1)[0]}")
        assert key.split("__")[1] in fault
        assert expected in fault
        assert len(fault) < 250


@pytest.mark.parametrize("content", ["", "- a\n", "a: [", "card: x\ncard: y\n", "\x00", "42"])
@pytest.mark.parametrize("name", ["params.yaml", "sources.yaml", "cards/defaults.yaml"])
def test_a_file_that_is_no_mapping_is_a_fault(tmp_path: Path, name: str, content: str) -> None:
    copy_recipe_files(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(RecipeError, match=name):
        load_recipe(tmp_path)


def copy_recipe_files(folder: Path) -> None:
    for name in ("params.yaml", "sources.yaml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "cards", folder / "cards")


def test_overrides_are_deviations_only_where_they_differ_from_the_card() -> None:
    overrides: dict[str, Any] = {"train__epochs": 3, "train__seed": 42, "data__limit": 2000}
    recipe = recipe_of("grojeda", model__base="minilm", **overrides)
    found = {d.key: (d.card, d.ours) for d in recipe.deviations}
    assert found == {
        "train.epochs": (2.0, 3.0),
        "model.base": ("distilbert", "minilm"),
        "data.limit": (None, 2000),
    }
    assert recipe.train.epochs == 3
    assert recipe.base.repository == "sentence-transformers/all-MiniLM-L6-v2"
    assert recipe.card == recipe_of("grojeda").card


def test_what_is_unspecified_follows_from_what_a_card_does_not_state(raw: RawFiles) -> None:
    before = resolve(raw_files(card="template")).card
    del raw.cards["template"]["train"]["epochs"]
    raw.cards["template"]["train"]["weight_decay"] = 0.0
    raw.params["card"] = "template"
    card = resolve(raw).card
    assert card.train == before.train  # 3 epochs and no decay are the defaults
    assert card.unspecified.keys() - before.unspecified.keys() == {"train.epochs"}
    assert before.unspecified.keys() - card.unspecified.keys() == {"train.weight_decay"}


def test_an_inferred_value_is_not_open_and_an_assumed_one_is() -> None:
    card = recipe_of("llm_project").card
    assert (card.leaves_open("split.test_size"), card.leaves_open("split.seed")) == (False, True)
    assert card.unspecified["split.test_size"].reason.startswith("1,250 steps")


@pytest.mark.parametrize(
    ("changed", "value", "stages"),
    [
        ("train__epochs", 2, set()),  # as the card has it
        ("train__epochs", 3, {"train", "report"}),
        ("evaluate__batch_size", 8, {"train", "evaluate", "report"}),
        ("tokenize__max_length", 64, {"tokenize", "train", "evaluate", "report"}),
        ("data__limit", 100, {"split", "report"}),
        ("verdict__level", 0.9, {"report"}),
    ],
)
def test_each_stages_part_of_the_recipe_holds_what_it_needs_and_no_more(
    changed: str, value: object, stages: set[str]
) -> None:
    before, after = (
        stage_recipes(recipe_of()),
        stage_recipes(resolve(raw_files(**{changed: value}))),
    )
    assert {name for name in before if before[name] != after[name]} == stages


def test_a_finished_runs_recipe_may_have_keys_that_are_no_more() -> None:
    recipe = recipe_of("grojeda", train__epochs=3)
    content = recipe.model_dump_json().replace('"epochs":3.0', '"epochs":3.0,"layer_decay":0.9')
    assert "layer_decay" in content
    assert parse_recipe(content.encode()) == recipe


def test_the_first_stage_prints_faults_without_a_traceback_and_exits_with_2(
    tmp_path: Path, run: Any
) -> None:
    copy_recipe_files(tmp_path)
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace("  epochs:\n", "  epochs: 0\n"))
    for package in ("cardproof", "stages"):
        (tmp_path / package).symlink_to(ROOT / package)
    done: subprocess.CompletedProcess[str] = run("python", "-m", "stages.download", cwd=tmp_path)
    assert done.returncode == 2
    assert "train.epochs: 0 must be greater than 0" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("way", ["repro", "exp run", "exp run --temp"])
def test_a_refused_override_says_what_stays_and_how_to_undo_it(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    root = tmp_path if way != "exp run --temp" else tmp_path / "original"
    monkeypatch.setenv("DVC_ROOT", str(root))  # as DVC does for the commands of stages
    if way != "repro":
        monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
    monkeypatch.chdir(tmp_path)
    copy_recipe_files(tmp_path)
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace("  epochs:\n", "  epochs: 0\n"))
    with pytest.raises(RecipeError) as caught:
        download.main()
    last = str(caught.value).splitlines()[-1]
    undo = "undo all that changed there since the last commit by `git checkout params.yaml`" in last
    assert undo == (way == "exp run")


@pytest.mark.parametrize(
    ("key", "printed", "told"),
    [
        ("accuracy", "87.5", "'87.5' is above 1; write \"87.5%\" if the card means percent"),
        ("recall", "94", "'94' is above 1; write \"94%\" if the card means percent"),
        ("f1", "101%", "'101%' is above 100%, as no share is; correct it"),
        ("accuracy", "0,875", "'0,875': write a decimal point (\"0.875\"); commas separate"),
        ("precision", "87,5 %", "'87,5 %': write a decimal point (\"87.5 %\"); commas separate"),
        ("accuracy", "1,000", "'1,000': write a decimal point (\"1.000\"); commas separate"),
        ("loss", "1,234", "'1,234': write a decimal point (\"1.234\"); commas separate"),
        ("steps", "25,00", "'25,00': write a decimal point (\"25.00\"); commas separate"),
        ("steps", "1,00,000", "'1,00,000': commas separate thousands; write three digits after"),
        ("accuracy", 0.875, '0.875 must be in quotes, as the card prints it: "0.875"'),
        ("steps", 136, '136 must be in quotes, as the card prints it: "136"'),
        ("accuracy", True, "True must be text"),
        ("accuracy", math.nan, "nan must be text"),
    ],
)
def test_a_claim_that_would_be_misread_is_refused(key: str, printed: object, told: str) -> None:
    raw = raw_files()
    raw.cards["sample"]["claims"][key] = printed
    with pytest.raises(RecipeError) as caught:
        resolve(raw)
    (fault,) = caught.value.faults
    assert fault.startswith(f"cards/sample.yaml: claims.{key}: {told}")


@pytest.mark.parametrize("printed", ["1", "1.0", "100%", "100.0 %", "~87.5%", "XX.XX%", "0.875"])
def test_a_share_of_at_most_one_is_accepted(printed: str) -> None:
    raw = raw_files()
    raw.cards["sample"]["claims"]["accuracy"] = printed
    assert resolve(raw).card.claims.accuracy == printed


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (["No log", "1.0", "1,068", "0.3", "94.17"], "0: '94.17' is above 1; write \"94.17%\""),
        (["No log", "1.0", "68", "0,3", "0.94"], "0.3: '0,3': write a decimal point (\"0.3\")"),
        (["0.5", "1.0", "68", "1,234", "0.94"], "0: '1,234': write a decimal point (\"1.234\")"),
        (["0.5", "No log", "68", "0.3", "0.9"], "0: the row ['0.5', 'No log', '68', '0.3', '0.9']"),
    ],
)
def test_a_row_of_the_table_of_epochs_that_would_be_misread_is_refused(
    row: list[str], told: str
) -> None:
    raw = raw_files()
    raw.cards["sample"]["claims"]["epochs"] = [row]
    with pytest.raises(RecipeError) as caught:
        resolve(raw)
    (fault,) = caught.value.faults
    assert fault.startswith(f"cards/sample.yaml: claims.epochs.{told}")
