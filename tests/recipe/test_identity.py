"""A name is not an identity: a card is reproduced from the published bytes only."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from ruamel.yaml import YAML

from cardproof.claims.judge import breaking_deviations, judge_claims
from cardproof.data.provide import identify
from cardproof.data.rows import rows_checksum
from cardproof.data.user_files import read_reviews_file
from cardproof.files import sha256_of, write_json
from cardproof.pages.figures import draw_figures
from cardproof.pages.report import render_model_card, render_page
from cardproof.pages.settings import command_of
from cardproof.recipe.identity import (
    BASES,
    ORIGIN,
    REVIEWS,
    IdentityError,
    common_origin,
    identified,
    identity_of,
    origin_of,
    read_origin,
)
from cardproof.recipe.load import read_files
from cardproof.recipe.schema import Identity, Recipe
from cardproof.recipe.stages import read_stage_recipe
from cardproof.runs.findings import find, read_outputs
from cardproof.runs.reading import UnavailableError, files_below, read_run
from stages import download
from tests.conftest import ROOT
from tests.recipe.files import recipe_of
from tests.recipe.test_load import copy_recipe_files
from tests.runs.made import outputs_of, write_outputs

SAMPLE = ROOT / "sample/hub/datasets/cardproof/sample-reviews/plain_text"
OTHER = "f" * 64


def published(reviews: str, base: str) -> Identity:
    return Identity(reviews=REVIEWS[reviews].identity, base=BASES[base].identity)


def rows_of(split: str) -> str:
    return rows_checksum(read_reviews_file(SAMPLE / f"{split}-00000-of-00001.parquet"))


def test_sources_yaml_pins_what_is_published() -> None:
    sources = read_files(ROOT).sources
    assert {n: e["repository"] for n, e in sources["reviews"].items()} == {
        name: known.repository for name, known in REVIEWS.items()
    }
    for name, entry in sources["bases"].items():
        assert (entry["repository"], identity_of(entry["files"])) == BASES[name]
    archive = sources["reviews"]["imdb"]["archive"]
    parts = {split: archive[split] for split in ("train", "test")}
    assert identity_of(parts) == REVIEWS["imdb"].identity
    sample = {split: rows_of(split) for split in ("train", "test")}
    assert identity_of(sample) == REVIEWS["sample"].identity


def test_the_real_files_are_what_is_published(mirror: Path) -> None:
    folder = mirror / "datasets/stanfordnlp/imdb/plain_text"
    rows = {
        split: rows_checksum(read_reviews_file(folder / f"{split}-00000-of-00001.parquet"))
        for split in ("train", "test")
    }
    assert identity_of(rows) == REVIEWS["imdb"].identity


def test_published_bytes_change_nothing() -> None:
    recipe = recipe_of("grojeda")
    same = identified(recipe, published("imdb", "distilbert"))
    assert same == recipe.model_copy(update={"identity": same.identity})
    other = recipe_of("grojeda", model__base="minilm")
    assert identified(other, published("imdb", "minilm")).deviations == other.deviations


@pytest.mark.parametrize(
    ("used", "deviations", "command"),
    [
        (Identity(reviews=OTHER, base=BASES["distilbert"].identity),
         {"data.reviews": "imdb-changed"}, "dvc exp run -S card=grojeda"),
        (Identity(reviews=REVIEWS["imdb"].identity, base=OTHER),
         {"model.base": "distilbert-changed"}, "dvc exp run -S card=grojeda"),
        (published("imdb", "sample"), {"model.base": "sample"}, "dvc exp run -S card=grojeda"),
        (published("sample", "distilbert"), {"data.reviews": "sample"},
         "dvc exp run -S card=grojeda"),
    ],
)  # fmt: skip
def test_other_bytes_by_the_cards_names_are_deviations(
    used: Identity, deviations: dict[str, str], command: str
) -> None:
    recipe = identified(recipe_of("grojeda"), used)
    assert {d.key: d.ours for d in recipe.deviations} == deviations
    assert breaking_deviations(recipe) == list(deviations)
    for claim in judge_claims(recipe, [{"evaluate.accuracy": 0.9256, "evaluate.loss": 0.2435}]):
        assert claim.verdict.word == "not comparable"
    assert command_of(recipe) == command
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_published_rows_by_another_name_are_no_deviation() -> None:
    raw = recipe_of("grojeda").model_copy(update={"reviews_name": "mine"})
    assert identified(raw, published("imdb", "distilbert")).deviations == []


def test_a_repository_is_not_named_for_other_bytes_whatever_the_entry_is_called() -> None:
    recipe = recipe_of("grojeda").model_copy(update={"reviews_name": "mine", "base_name": "my"})
    found = identified(recipe, Identity(reviews=OTHER, base="e" * 64))
    assert (found.reviews.repository, found.base.repository) == ("mine", "my")
    assert found.user_reviews


def write_own(path: Path, rows: int) -> dict[str, str]:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("text", "label"), *((f"film {i}", i % 2) for i in range(rows))]
        )
    return {"path": str(path), "sha256": sha256_of(path)}


def lend_names(folder: Path) -> None:
    """sources.yaml with own files as imdb, and the sample's base as distilbert."""
    yaml = YAML()
    sources: Any = yaml.load(folder / "sources.yaml")
    sources["reviews"]["imdb"] = {s: write_own(folder / f"{s}.csv", 40) for s in ("train", "test")}
    sample = dict(read_files(ROOT).sources["bases"]["sample"])
    sources["bases"]["distilbert"] = sample | {"repository": "distilbert/distilbert-base-uncased"}
    yaml.dump(sources, folder / "sources.yaml")
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("card: sample", "card: grojeda"))


def test_lent_names_reach_neither_the_verdict_nor_the_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_recipe_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    lend_names(tmp_path)
    base = ROOT / "sample/hub/cardproof/sample-distilbert"
    shutil.copytree(base, tmp_path / "mirror/distilbert/distilbert-base-uncased")
    monkeypatch.setenv("CARDPROOF_MIRROR", "mirror")
    download.main()
    said = capsys.readouterr().out
    assert "not the card's data.reviews: sources.yaml gives the name imdb to other bytes" in said
    assert "not the card's model.base: sources.yaml gives the name distilbert to other" in said
    recipe = read_stage_recipe(Recipe)
    assert (recipe.reviews_name, recipe.base_name) == ("imdb-changed", "sample")
    assert recipe.identity == identify()
    findings = find(outputs_of(recipe))
    card = render_model_card(findings, ["negative", "positive"])
    data: dict[str, Any] = vars(ModelCard(card).data)
    assert data["datasets"] is None
    assert "stanfordnlp" not in card
    assert data["base_model"] == "sample"
    page = render_page(findings, draw_figures(findings))
    assert "nothing changed" not in page
    assert "sources.yaml gives the name imdb to other bytes" in page


@pytest.mark.parametrize(
    ("folder", "what", "said"),
    [
        ("model", "reviews", "model is of another identity of reviews than data/"),
        ("model", "base", "model is of another identity of base than data/"),
        ("data/split", "reviews", "data/split is of another identity of reviews than data/"),
        ("data/tokens", "base", "data/tokens is of another identity of base than data/"),
        ("data/predictions", "model", "model.safetensors is of another identity of model than da"),
    ],
)
def test_a_folder_made_from_something_else_reaches_no_verdict(
    tmp_path: Path, folder: str, what: str, said: str
) -> None:
    recipe = identified(recipe_of("grojeda"), published("imdb", "distilbert"))
    texts = {name: [f"film {i}" for i in range(100)] for name in ("train", "validation", "test")}
    write_outputs(tmp_path, outputs_of(recipe), texts)
    read_outputs(tmp_path)
    write_json(tmp_path / folder / ORIGIN, {**read_origin(tmp_path / folder), what: OTHER})
    with pytest.raises(IdentityError, match=said):
        read_outputs(tmp_path)


def test_a_folder_that_leaves_a_thing_unsaid_reaches_no_verdict(tmp_path: Path) -> None:
    recipe = identified(recipe_of("grojeda"), published("imdb", "distilbert"))
    texts = {name: [f"film {i}" for i in range(100)] for name in ("train", "validation", "test")}
    write_outputs(tmp_path, outputs_of(recipe), texts)
    write_json(tmp_path / "model" / ORIGIN, {"reviews": read_origin(tmp_path / "model")["reviews"]})
    with pytest.raises(IdentityError, match=r"model does not say of which base it was made"):
        read_outputs(tmp_path)


def test_predictions_of_other_reviews_are_not_taken_for_the_recipes(tmp_path: Path) -> None:
    recipe = identified(recipe_of("grojeda"), published("imdb", "distilbert"))
    write_outputs(tmp_path, outputs_of(recipe), {"test": ["film"] * 100})
    write_json(tmp_path / "data/predictions" / ORIGIN, {**origin_of(recipe), "reviews": OTHER})
    with pytest.raises(UnavailableError, match=r"report.json is of another identity of reviews"):
        read_run("record", "", files_below(tmp_path))


def test_folders_agree_on_what_they_share() -> None:
    joined = common_origin({"a": {"reviews": "1"}, "b": {"reviews": "1", "base": "2"}})
    assert joined == {"reviews": "1", "base": "2"}


def test_a_folder_that_does_not_say_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=r"does not say what it was made from .*dvc repro"):
        read_origin(tmp_path)
