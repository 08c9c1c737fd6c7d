"""What goes to the hub: a model that answers in words and knows nothing of this machine."""

import json
from pathlib import Path

import pytest

from cardproof.files import CHECKSUMS, sha256_of
from cardproof.model.loading import load_classifier, load_tokenizer
from cardproof.pages.upload import copy_model
from tests.conftest import ROOT

BASE = ROOT / "sample/hub/cardproof/sample-distilbert"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (None, ["neg", "pos"]),  # as transformers would call them: LABEL_0, LABEL_1
        (["NEGATIVE", "POSITIVE"], ["NEGATIVE", "POSITIVE"]),
        (["LABEL_0", "LABEL_1"], ["neg", "pos"]),
    ],
)
def test_the_pipeline_answers_with_the_labels(
    tmp_path: Path, named: list[str] | None, expected: list[str]
) -> None:
    model, copy = tmp_path / "model", tmp_path / "upload"
    load_classifier(BASE, labels=named).save_pretrained(model)
    load_tokenizer(BASE).save_pretrained(model)
    (model / CHECKSUMS).write_text("{}")
    assert copy_model(model, copy, ["neg", "pos"]) == expected

    from transformers import pipeline

    found = pipeline("text-classification", model=str(copy), top_k=None)(["I loved it."])[0]
    assert {answer["label"] for answer in found} == set(expected)
    assert not (copy / CHECKSUMS).exists()
    assert sha256_of(copy / "model.safetensors") == sha256_of(model / "model.safetensors")


def test_settings_of_this_machine_stay_on_it(tmp_path: Path) -> None:
    model, copy = tmp_path / "model", tmp_path / "upload"
    load_classifier(BASE).save_pretrained(model)
    load_tokenizer(BASE).save_pretrained(model)
    copy_model(model, copy, ["neg", "pos"])
    local = {"is_local", "local_files_only"}
    before, after = (
        json.loads((folder / "tokenizer_config.json").read_text()) for folder in (model, copy)
    )
    assert local <= before.keys()  # or there is nothing to take out any more
    assert before.keys() - after.keys() == local
    for path in copy.glob("*.json"):
        assert str(tmp_path) not in path.read_text(), path
        assert str(ROOT) not in path.read_text(), path
