"""The token store: truncated as the tokenizer truncates, read back as written."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cardproof.evaluation.inference import predict_logits
from cardproof.model.loading import (
    CheckpointError,
    load_classifier,
    load_tokenizer,
    load_word_pieces,
)
from cardproof.model.tokens import describe_tokens, open_tokens, read_batches, write_tokens
from tests.conftest import ROOT

TEXTS = [
    "",
    "Good film!",
    "not " * 100,
    "a<br /><br />b \u0085 \u00e9 \u4e2d \U0001f600",
    "x" * 300,
]
LABELS = [0, 1, 0, 1, 1]


@pytest.mark.parametrize("max_length", [8, 16, 128])
def test_reviews_are_truncated_as_the_tokenizer_truncates_them(
    tiny_base: Path, tmp_path: Path, max_length: int
) -> None:
    tokenizer = load_tokenizer(tiny_base)
    batches = [(TEXTS[:2], LABELS[:2]), (TEXTS[2:], LABELS[2:])]
    store = write_tokens(batches, load_word_pieces(tiny_base), max_length, tmp_path)
    expected = tokenizer(TEXTS, truncation=True, max_length=max_length)["input_ids"]
    assert [store.row(i).tolist() for i in range(len(store))] == expected
    assert [store[i]["labels"] for i in range(len(store))] == LABELS
    assert store.full_lengths.tolist() == [len(tokenizer(t)["input_ids"]) for t in TEXTS]


@pytest.mark.parametrize("max_length", [8, 16, 128])
def test_head_and_tail_are_a_quarter_of_what_is_kept_and_the_rest(
    tiny_base: Path, tmp_path: Path, max_length: int
) -> None:
    words = load_word_pieces(tiny_base)
    texts = [" ".join(f"{chr(97 + i % 26)}" for i in range(n)) for n in (3, 13, 14, 15, 300)]
    store = write_tokens([(texts, [0] * 5)], words, max_length, tmp_path, "head_and_tail")
    for index, text in enumerate(texts):
        begin, *content, end = words.encode(text).ids
        room = max_length - 2
        if len(content) > room:
            content = content[: room // 4] + content[-(room - room // 4) :]
        assert store.row(index).tolist() == [begin, *content, end]
    assert store.full_lengths.tolist() == [len(words.encode(text).ids) for text in texts]


def test_ids_take_two_bytes_and_any_npy_reader_can_read_them(
    tiny_base: Path, tmp_path: Path
) -> None:
    batches = [(TEXTS, LABELS)] * 300
    written = write_tokens(batches, load_word_pieces(tiny_base), 32, tmp_path)
    ids = np.load(tmp_path / "ids.npy")  # without this project's code
    assert ids.dtype == np.uint16
    assert len(ids) == written.offsets[-1] == written.lengths.sum()
    assert isinstance(open_tokens(tmp_path).ids, np.memmap)


def test_what_truncation_costs_is_counted(tiny_base: Path, tmp_path: Path) -> None:
    store = write_tokens([(TEXTS, LABELS)], load_word_pieces(tiny_base), 16, tmp_path)
    facts = describe_tokens({"train": store})
    full = store.full_lengths
    assert facts["train_reviews_truncated"] == (full > 16).mean()
    assert facts["train_tokens_truncated"] == pytest.approx(
        (full - np.minimum(full, 16)).sum() / full.sum()
    )


AWKWARD = (
    "It's not un-watchable: Amélie's naïveté<br /><br />... 10/10 \x85 中文",
    "[CLS] a review that says [MASK] and [SEP] and [UNK] and ##ing",
    "\x00\ufffd\u200b\u202e\U0001f600 \t\n",
    "İstanbul ẞß ｆｕｌｌ ½ … — ‘quoted’ a\u0301\u0302 " + "z" * 250,
    "",
)


def test_word_pieces_are_those_of_the_library_also_on_real_reviews(
    mirror: Path, tmp_path: Path
) -> None:
    base = mirror / "distilbert/distilbert-base-uncased"
    for name in ("config.json", "vocab.txt"):  # as the SST-2 checkpoint is: no tokenizer.json
        (tmp_path / name).write_bytes((base / name).read_bytes())
    reviews = mirror / "datasets/stanfordnlp/imdb/plain_text/train-00000-of-00001.parquet"
    texts = [*AWKWARD, *next(read_batches(reviews))[0][:300]]
    minilm = (
        mirror / "sentence-transformers/all-MiniLM-L6-v2"
    )  # its file truncates at 128, and pads
    for folder in (base, tmp_path, minilm):
        expected = load_tokenizer(folder)(texts)["input_ids"]
        encoded = load_word_pieces(folder).encode_batch_fast(texts)
        assert [e.ids for e in encoded] == expected, folder


def test_the_sample_bases_word_pieces_are_those_of_the_library(tiny_base: Path) -> None:
    for folder in (ROOT / "sample/hub/cardproof/sample-distilbert", tiny_base):
        expected = load_tokenizer(folder)(list(AWKWARD))["input_ids"]
        encoded = load_word_pieces(folder).encode_batch_fast(list(AWKWARD))
        assert [e.ids for e in encoded] == expected, folder


def test_a_folder_without_a_checkpoint_is_an_error_that_names_it(tmp_path: Path) -> None:
    loaders = (load_tokenizer, load_word_pieces, lambda folder: load_classifier(folder, 1, None))
    for load in loaders:
        with pytest.raises(CheckpointError, match=str(tmp_path)):
            load(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", b"null"),
        ("config.json", b'{"model_type": "distilbert", "dim": "wide"}'),
        ("config.json", b'{"model_type": "distilbert", "n_heads": 0}'),
        ("config.json", b'{"model_type": "distilbert", "vocab_size": 0}'),
        ("model.safetensors", b"not weights"),
        ("tokenizer.json", b"{}"),
    ],
)
def test_a_faulty_checkpoint_is_an_error_that_names_its_folder(
    tiny_base: Path, tmp_path: Path, file: str, content: bytes
) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    (folder / file).write_bytes(content)
    load = (
        load_tokenizer
        if file == "tokenizer.json"
        else partial(load_classifier, seed=1, labels=None)
    )
    with pytest.raises(CheckpointError, match=str(folder)):
        load(folder)


def test_weights_in_pickle_are_not_loaded(tiny_base: Path, tmp_path: Path) -> None:
    import torch

    model = load_classifier(tiny_base, 1, None)
    (tmp_path / "config.json").write_bytes((tiny_base / "config.json").read_bytes())
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError):
        load_classifier(tmp_path, 1, None)


def test_a_trained_head_is_kept_and_a_missing_one_is_drawn_with_the_seed(
    tiny_base: Path, tmp_path: Path
) -> None:
    first, second, other = (load_classifier(tiny_base, seed, None) for seed in (1, 1, 2))
    assert (first.classifier.weight == second.classifier.weight).all()
    assert (first.classifier.weight != other.classifier.weight).any()
    first.save_pretrained(tmp_path)  # as the SST-2 base comes: with a head of two classes
    again = load_classifier(tmp_path, 3, ["Negative", "Positive"])
    assert (again.classifier.weight == first.classifier.weight).all()
    assert again.config.id2label == {0: "Negative", 1: "Positive"}


def test_a_head_with_other_classes_is_replaced_and_other_weights_are_refused(
    tiny_base: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    three = AutoModelForSequenceClassification.from_pretrained(tiny_base, num_labels=3)
    three.save_pretrained(tmp_path)
    model = load_classifier(tmp_path, 3, None)
    assert model.classifier.weight.shape[0] == 2
    assert (model.classifier.weight == load_classifier(tmp_path, 3, None).classifier.weight).all()
    assert (model.pre_classifier.weight == three.pre_classifier.weight).all()

    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_dim": 12}))
    with pytest.raises(CheckpointError, match=r"lin1\.\w+ has the size .* config\.json wants"):
        load_classifier(tmp_path, 3, None)


def test_batched_logits_are_those_of_one_review_at_a_time(tiny_base: Path, tmp_path: Path) -> None:
    import torch

    from cardproof.model.devices import Device

    tokenizer, model = load_tokenizer(tiny_base), load_classifier(tiny_base, 1, None).eval()
    texts = [t * k for k in (1, 2, 3) for t in TEXTS]
    store = write_tokens([(texts, LABELS * 3)], load_word_pieces(tiny_base), 64, tmp_path)
    cpu = Device("cpu", "fp32", "fp32", "")
    logits = predict_logits(model, store, 4, cpu, tokenizer.pad_token_id)
    with torch.inference_mode():
        alone = [model(torch.tensor([store.row(i).tolist()])).logits[0] for i in range(len(store))]
    difference = np.abs(logits - torch.stack(alone).numpy())
    assert difference.max() < 1e-5, f"max {difference.max():.2e}, mean {difference.mean():.2e}"


def test_the_sample_base_loads_through_the_same_code() -> None:
    base = ROOT / "sample/hub/cardproof/sample-distilbert"
    assert load_classifier(base, 1, None).config.num_labels == 2
    assert load_tokenizer(base)("Good film")["input_ids"][0] == load_tokenizer(base).cls_token_id
