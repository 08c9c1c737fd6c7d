"""Settings of other people's checkpoints: none of them has code fetched or run."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardproof.model.foreign import RUN_CODE, without_code
from cardproof.model.loading import load_classifier, load_tokenizer
from cardproof.pages.upload import copy_model
from tests.conftest import ROOT

BASE = ROOT / "sample/hub/cardproof/sample-distilbert"
HOSTILE: dict[str, Any] = {
    "auto_map": {"AutoConfig": "evil--code.C", "AutoModelForSequenceClassification": "evil.M"},
    "_attn_implementation": "evil/kernel",
    "attn_implementation": "evil/kernel",
    "experts_implementation": "evil/kernel",
    "custom_pipelines": {"text-classification": {"impl": "evil.P"}},
    "text_config": {"auto_map": {"AutoModel": "evil.M"}, "dim": 5},
}


def with_settings(base: Path, folder: Path, name: str, **more: object) -> Path:
    shutil.copytree(base, folder)
    settings = json.loads((folder / name).read_text()) | more
    (folder / name).write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("key", HOSTILE)
def test_a_base_that_wants_code_is_loaded_without_it_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    base = with_settings(BASE, tmp_path / "base", "config.json", **{key: HOSTILE[key]})
    model = load_classifier(base)
    said = capsys.readouterr().out
    assert re.search(r"base/config\.json: \w+ left out: a loader would fetch or run code", said)
    model.save_pretrained(tmp_path / "model")
    assert "evil" not in (tmp_path / "model/config.json").read_text()
    assert json.loads((base / "config.json").read_text())[key] == HOSTILE[key]  # the pinned bytes


def test_a_tokenizer_that_wants_code_is_loaded_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wants = {"auto_map": {"AutoTokenizer": ["evil--code.T", None]}}
    base = with_settings(BASE, tmp_path / "base", "tokenizer_config.json", **wants)
    load_tokenizer(base).save_pretrained(tmp_path / "model")
    assert "base/tokenizer_config.json: auto_map left out" in capsys.readouterr().out
    load_tokenizer(BASE).save_pretrained(tmp_path / "usual")
    for path in (tmp_path / "usual").iterdir():
        assert (tmp_path / "model" / path.name).read_bytes() == path.read_bytes()


def test_an_upload_holds_none_of_it(tmp_path: Path) -> None:
    load_classifier(BASE).save_pretrained(tmp_path / "usual")
    load_tokenizer(BASE).save_pretrained(tmp_path / "usual")
    model = with_settings(tmp_path / "usual", tmp_path / "model", "config.json", **HOSTILE)
    tokenizer = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(tokenizer | HOSTILE))
    copy_model(model, tmp_path / "upload", ["neg", "pos"])
    for name in ("config.json", "tokenizer_config.json"):
        assert "evil" not in (tmp_path / "upload" / name).read_text()
    load_classifier(tmp_path / "upload")


SETTINGS = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*sorted(RUN_CODE)[:3], "dim", "x"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(SETTINGS)
def test_nothing_of_it_is_left_at_any_depth_and_all_else_is(settings: Any) -> None:
    kept, left_out = without_code(settings)
    assert not any(f'"{key}"' in json.dumps(kept) for key in RUN_CODE)
    assert bool(left_out) == (kept != settings)
    assert without_code(kept) == (kept, [])
