"""What sources.yaml may pin, refused before anything runs."""

import os
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from cardproof.recipe.faults import RecipeError
from cardproof.recipe.load import resolve
from cardproof.recipe.pins import RepositoryName, RepositoryPath
from tests.recipe.files import raw_files

CHECKSUM = "0" * 64


def refusal(base: dict[str, Any], reviews: dict[str, Any]) -> str:
    """The error for another base and other reviews in sources.yaml."""
    raw = raw_files()
    raw.sources["bases"]["minilm"].update(base)
    raw.sources["reviews"]["imdb"].update(reviews)
    with pytest.raises(RecipeError) as caught:
        resolve(raw)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["../a.json", "a/../b.json", "/a.json", "a//b.json", "a/", "", ".", "a\\b", "a\0b"]
)
def test_unsafe_names_are_refused(name: str) -> None:
    for base, reviews in (
        ({"files": {name: CHECKSUM}}, {}),
        ({"repository": name}, {}),
        ({}, {"test": {"path": name, "sha256": CHECKSUM}}),
    ):
        said = refusal(base, reviews)
        assert "plain relative name" in said or "must not be empty" in said
    assert "plain relative name" in refusal({}, {"repository": name or "a//b"})


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "a/x.PT", "x.pth", "x.ckpt", "x.pkl", "x.bin.gz", "m.py", "x.npy"],
)
def test_formats_that_run_code_are_refused(name: str) -> None:
    said = refusal({"files": {name: CHECKSUM}}, {})
    assert f"sources.yaml: bases.minilm.files.{name}: {name!r} is of a format that can run" in said
    assert "can run code" in refusal({}, {"train": {"path": name, "sha256": CHECKSUM}})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.tar", "is of no format that is read: .safetensors, .json"),
        ("config", "is of no format that is read"),
        ("sums.json", "is the name of a file that is written beside it"),
        ("adapter_config.json", "is of an adapter, which names another base; merge it"),
        ("made_from.json", "is the name of a file that is written beside it"),
        ("a" * 300 + ".json", "must be of 200 bytes at most"),
    ],
)
def test_files_that_no_base_needs_are_refused(name: str, words: str) -> None:
    said = refusal({"files": {name: CHECKSUM}}, {})
    assert words in said
    assert said.count("\n") == 1


def test_reviews_of_a_repository_are_parquet() -> None:
    said = refusal({}, {"test": {"path": "test.csv", "sha256": CHECKSUM}})
    assert "'test.csv' is of no format that is read: .parquet" in said


@pytest.mark.parametrize(
    "name", ["a/b/c", "a--b/c", "a/b.git", "-a/b", "a b/c", "a/é", "~root/x", "a" * 97 + "/b"]
)
def test_names_that_no_hub_has_are_refused(name: str) -> None:
    for base, reviews in (({"repository": name}, {}), ({}, {"repository": name})):
        assert "must be a name as the hub has them, such as owner/name" in refusal(base, reviews)


def test_unclear_pins_are_refused() -> None:
    for base, reviews in (({"revision": "main"}, {}), ({}, {"revision": "main"})):
        assert "'main' must be a commit, 40 hexadecimal digits" in refusal(base, reviews)
    files = {"x/A.json": CHECKSUM, "y/a.json": CHECKSUM}
    assert "x/A.json and y/a.json would both become a.json" in refusal({"files": files}, {})


PARTS = st.sampled_from(["..", ".", "", "a", "A", "é", "~", "C:", "\\", "\0", "\n", "x.json", "-"])


@given(st.lists(PARTS | st.text(max_size=5), max_size=5).map("/".join) | st.text())
def test_any_name_stays_in_its_folder_or_is_refused(name: str) -> None:
    for check in (RepositoryName, RepositoryPath):
        try:
            TypeAdapter(check).validate_python(name)
        except ValidationError:
            continue
        place = Path("/folder", name)
        assert not Path(name).is_absolute()
        assert Path(os.path.normpath(place)) == place
        assert place.is_relative_to("/folder/")
        assert name.isprintable()
        if check is RepositoryName:
            validate_repo_id(name)
