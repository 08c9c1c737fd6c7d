"""Settings of other people's checkpoints: none of them has code fetched or run."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from cardproof.model.foreign import RUN_CODE, without_code
from cardproof.model.loading import CheckpointError, load_classifier, load_tokenizer
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


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_are_loaded_in_fp32_whatever_the_base_says(
    tiny_base: Path, tmp_path: Path, dtype: str
) -> None:
    half = load_file(tiny_base / "model.safetensors")
    base = with_settings(
        tiny_base, tmp_path / "base", "config.json", dtype=dtype, torch_dtype=dtype
    )
    stored = {name: tensor.to(getattr(torch, dtype)) for name, tensor in half.items()}
    save_file(stored, base / "model.safetensors", {"format": "pt"})
    model = load_classifier(base)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    model.save_pretrained(tmp_path / "model")
    assert json.loads((tmp_path / "model/config.json").read_text())["dtype"] == "float32"


@pytest.mark.parametrize("place", ["quantization_config", "text_config"])
def test_a_quantised_base_is_refused(tiny_base: Path, tmp_path: Path, place: str) -> None:
    rounded = {"quant_method": "mxfp4", "x": {"y": 1}}
    value = rounded if place == "quantization_config" else {"quantization_config": rounded}
    base = with_settings(tiny_base, tmp_path / "base", "config.json", **{place: value})
    with pytest.raises(
        CheckpointError, match=r"config\.json has a quantization_config: its weights"
    ):
        load_classifier(base)


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


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.floats() | st.text(max_size=6)
    | st.sampled_from(["bert", "gelu", "bfloat16", "eager", "..", "single_label_classification"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)  # fmt: skip
KEYS = ["activation", "architectures", "attention_dropout", "dim", "dtype", "hidden_dim",
        "id2label", "max_position_embeddings", "model_type", "n_heads", "n_layers", "num_labels",
        "pad_token_id", "problem_type", "quantization_config", "sinusoidal_pos_embds", "use_cache",
        "tie_word_embeddings", "torch_dtype", "transformers_version", "vocab_size"]  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(key=st.sampled_from(KEYS) | st.text(max_size=8), value=VALUES)
@example(key="pad_token_id", value=10**9)
def test_any_setting_gives_a_model_or_a_fault(
    tiny_base: Path, tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    base = tmp_path_factory.getbasetemp() / "any-setting"
    shutil.rmtree(base, ignore_errors=True)
    with_settings(tiny_base, base, "config.json", **{key: value})
    try:
        model = load_classifier(base)
    except CheckpointError as error:
        assert str(base) in str(error)
    else:
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert model.config.num_labels == 2
