"""Batches without padding: the padded model's losses, gradients and training, and its dropout."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    PreTrainedModel,
    TrainingArguments,
)

from cardproof.model.loading import load_classifier, load_tokenizer, load_word_pieces
from cardproof.model.tokens import TokenStore, write_tokens
from cardproof.model.unpadded.attention import _attend_ragged, attend
from cardproof.model.unpadded.batches import (
    batches_by_rows,
    batches_by_tokens,
    collate_unpadded,
    concatenate_rows,
)
from cardproof.model.unpadded.check import why_unlike
from cardproof.model.unpadded.dropout import Dropout, MaskBits, apply_mask, apply_signs_
from cardproof.model.unpadded.model import unpadded_logits, why_padded, without_padding
from cardproof.training.logs import TrainingTables
from cardproof.training.trainer import train_classifier

ROOT = Path(__file__).parents[2]
LENGTHS = (1, 512, 2, 77, 130, 3, 301)
FAMILIES = ("distilbert", "bert")
PIECES = 120

Row = dict[str, Any]  # input_ids, shape (tokens,), and labels, a number
Outcome = tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]  # loss, logits, gradients


def tiny(family: str, p: float = 0.0, width: int = 48, pieces: int = PIECES) -> PreTrainedModel:
    """A model of 3 layers and 4 heads with random weights, in training mode."""
    torch.manual_seed(3)
    if family == "bert":
        bert = BertConfig(
            vocab_size=pieces, hidden_size=width, num_hidden_layers=3, num_attention_heads=4,
            intermediate_size=2 * width, hidden_dropout_prob=p, attention_probs_dropout_prob=p,
            initializer_range=0.1,
        )  # fmt: skip
        return BertForSequenceClassification(bert).train()
    distilbert = DistilBertConfig(
        vocab_size=pieces, dim=width, n_layers=3, n_heads=4, hidden_dim=2 * width, dropout=p,
        attention_dropout=p, seq_classif_dropout=p, initializer_range=0.1,
    )  # fmt: skip
    return DistilBertForSequenceClassification(distilbert).train()


def rows_of(lengths: Sequence[int], seed: int = 0) -> list[Row]:
    random = np.random.default_rng(seed)
    return [
        {"input_ids": random.integers(1, PIECES, n), "labels": int(random.integers(2))}
        for n in lengths
    ]


def pad(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    ids = nn.utils.rnn.pad_sequence(
        [torch.from_numpy(row["input_ids"].astype(np.int64)) for row in rows], batch_first=True
    )
    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "labels": torch.tensor([row["labels"] for row in rows]),
    }


def outcome(model: PreTrainedModel, batch: dict[str, torch.Tensor], bf16: bool = False) -> Outcome:
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = model(**batch)
    output.loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    return output.loss.detach(), output.logits.detach(), gradients


def both(
    model: PreTrainedModel, rows: Sequence[Row], bf16: bool = False
) -> tuple[Outcome, Outcome]:
    """The outcome with padding, and without."""
    padded = outcome(model, pad(rows), bf16)
    with without_padding(model):
        return padded, outcome(model, collate_unpadded(rows), bf16)


def assert_same(padded: Outcome, unpadded: Outcome, tolerance: float) -> None:
    """Compare each part with its own largest value.

    Some gradients are zero but for rounding: that of a key's bias, or of the queries where rows
    have one token. So a gradient's largest value counts as no less than a tenth of the model's.
    """
    floor = max(float(gradient.abs().max()) for gradient in padded[2].values()) / 10
    parts = {"loss": (padded[0], unpadded[0], 0.0), "logits": (padded[1], unpadded[1], 0.0)}
    parts |= {name: (gradient, unpadded[2][name], floor) for name, gradient in padded[2].items()}
    for name, (expected, actual, least) in parts.items():
        difference = (actual - expected).abs() / max(float(expected.abs().max()), least)
        assert difference.max() <= tolerance, (
            f"{name}: max {difference.max():.1e}, mean {difference.mean():.1e} of its largest value"
        )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("lengths", [LENGTHS, (1,), (512,), (1, 1, 1), (64, 64)])
def test_without_dropout_loss_logits_and_gradients_are_the_padded_models(
    family: str, lengths: tuple[int, ...]
) -> None:
    assert_same(*both(tiny(family), rows_of(lengths)), tolerance=1e-5)
    # In fp64 rounding hides nothing that is left out or added.
    assert_same(*both(tiny(family).double(), rows_of(lengths)), tolerance=1e-13)


@pytest.mark.parametrize("family", FAMILIES)
def test_in_bf16_the_error_of_the_gradients_is_that_of_the_padded_model(family: str) -> None:
    """Medians over batches: a unit of DistilBERT's head that rounding switches stands out."""
    model, errors = tiny(family), []
    for seed in range(7):
        rows = rows_of((40, 12, 90, 3), seed)
        exact = outcome(model, pad(rows))
        errors.append([gradient_error(exact, other) for other in both(model, rows, bf16=True)])
    padded, unpadded = np.median(errors, axis=0)
    assert unpadded < 1.3 * padded, f"unpadded {unpadded:.4f}, padded {padded:.4f}"
    assert unpadded < 0.02


def gradient_error(exact: Outcome, other: Outcome) -> float:
    """The norm of the difference over that of the exact gradient."""
    difference = sum(float((other[2][n] - g).square().sum()) for n, g in exact[2].items())
    return float((difference / sum(float(g.square().sum()) for g in exact[2].values())) ** 0.5)


@pytest.fixture(scope="module", params=["sample", "real"])
def word_pieces(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TokenStore, int]]:
    """Reviews in word pieces, truncated at 384, and how many pieces there are."""
    import pyarrow.parquet as pq

    hub = ROOT / "sample/hub"
    reviews = hub / "datasets/cardproof/sample-reviews/plain_text/test-00000-of-00001.parquet"
    base = hub / "cardproof/sample-distilbert"
    if request.param == "real":
        hub = request.getfixturevalue("mirror")
        reviews = hub / "datasets/stanfordnlp/imdb/plain_text/test-00000-of-00001.parquet"
        base = hub / "distilbert/distilbert-base-uncased"
    table = pq.read_table(reviews).take(list(range(0, 1000, 125)))
    tokenizer = load_word_pieces(base)
    folder = tmp_path_factory.mktemp("tokens")
    batch = table["text"].to_pylist(), table["label"].to_pylist()
    store = write_tokens([batch], tokenizer, 384, folder)
    yield store, tokenizer.get_vocab_size()


@pytest.mark.parametrize("family", FAMILIES)
def test_reviews_in_word_pieces_give_the_padded_models_gradients(
    family: str, word_pieces: tuple[TokenStore, int]
) -> None:
    rows, pieces = word_pieces
    model = tiny(family, pieces=pieces)
    assert_same(*both(model, [rows[i] for i in range(len(rows))]), tolerance=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_fifty_steps_have_the_padded_models_losses(family: str) -> None:
    model = tiny(family, width=32)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    padded = losses_of_fifty_steps(model, pad)
    model.load_state_dict(start)
    with without_padding(model):
        unpadded = losses_of_fifty_steps(model, collate_unpadded)
    difference = np.abs(unpadded - padded) / padded
    assert difference.max() < 1e-3, f"max {difference.max():.1e}, mean {difference.mean():.1e}"


def losses_of_fifty_steps(
    model: PreTrainedModel, collate: Callable[[Any], dict[str, torch.Tensor]]
) -> NDArray[np.float64]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for step in range(50):
        loss = model(**collate(rows_of((9, 40, 3, 25), seed=step))).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return np.array(losses)


@pytest.mark.parametrize("family", FAMILIES)
def test_with_dropout_losses_are_distributed_as_the_padded_models(family: str) -> None:
    model, rows = tiny(family, p=0.3, width=32), rows_of((12, 30, 5, 18))
    with torch.no_grad():
        padded = [seeded(model, pad(rows), seed) for seed in range(250)]
        with without_padding(model):
            unpadded = [seeded(model, collate_unpadded(rows), seed) for seed in range(250, 500)]
    test = stats.ks_2samp(padded, unpadded)
    spread = np.std(unpadded) / np.std(padded)
    assert test.pvalue > 0.01, f"{test}, means {np.mean(padded):.4f}, {np.mean(unpadded):.4f}"
    assert 0.8 < spread < 1.25


def seeded(model: PreTrainedModel, batch: dict[str, torch.Tensor], seed: int) -> float:
    torch.manual_seed(seed)
    return float(model(**batch).loss)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("p", [0.1, 0.2, 0.5])
def test_masks_drop_with_their_probability_and_independently(dtype: torch.dtype, p: float) -> None:
    torch.manual_seed(0)
    dropout = Dropout(p, MaskBits())
    x = torch.ones(1000, 1001, dtype=dtype)
    kept = apply_mask(x, dropout.keep_mask(x)).double()
    signs = apply_signs_(x.clone(), dropout.sign_mask(x)).double()
    realised = 1 - 1 / dropout.scale(dtype)
    assert realised == pytest.approx(p, abs=2**-15)
    assert set(np.unique(kept.numpy())) == {0, 1}
    assert set(np.unique(signs.numpy())) == {-1, 1}
    flat = torch.stack([kept.flatten(), (signs.flatten() + 1) / 2]) - (1 - realised)
    deviation = (realised * (1 - realised) / x.numel()) ** 0.5
    assert flat.mean(dim=1).abs().max() < 4 * deviation
    # Neighbours share a word of random bits; rows and the two masks share a generator.
    for a, b in [(flat[0, lag:], flat[0, : -lag or None]) for lag in (1, 2, 3, 4, 1001)] + [
        (flat[0], flat[1])
    ]:
        correlation = (a * b).mean() / (realised * (1 - realised))
        assert abs(correlation) < 4 / x.numel() ** 0.5


def test_attention_with_dropout_has_the_gradients_of_its_masks() -> None:
    """Against attention written out, with the masks that the same generator state gives."""
    lengths, p = (5, 1, 9), 0.4
    cu_seqlens = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)
    q, k, v, g = torch.randn(4, sum(lengths), 2, 8, generator=torch.Generator().manual_seed(1))
    tensors = [t.clone().requires_grad_() for t in (q, k, v)]
    torch.manual_seed(5)
    output = attend(
        tensors[0], tensors[1], tensors[2], cu_seqlens, cu_seqlens, Dropout(p, MaskBits())
    )
    torch.autograd.backward(output, g)
    actual = [output, *(t.grad for t in tensors)]

    torch.manual_seed(5)
    dropout = Dropout(p, MaskBits())
    plain = [t.clone().requires_grad_() for t in (q, k, v)]
    parts = []
    for a, b in zip(cu_seqlens.tolist(), cu_seqlens[1:].tolist(), strict=False):
        of_q, of_k, of_v = (t[a:b].transpose(0, 1) for t in plain)
        weights = (of_q @ of_k.mT / 8**0.5).softmax(-1)
        kept = dropout.sign_mask(weights) == 0
        parts.append((weights * kept * dropout.scale(q.dtype) @ of_v).transpose(0, 1))
    torch.autograd.backward(torch.cat(parts), g)
    for expected, other in zip([torch.cat(parts), *(t.grad for t in plain)], actual, strict=True):
        assert expected is not None
        assert other is not None
        difference = (other - expected).abs()
        assert difference.max() < 1e-6, f"max {difference.max():.1e}, mean {difference.mean():.1e}"


def test_a_state_of_torchs_generator_repeats_the_masks_to_the_bit() -> None:
    model, batch = tiny("distilbert", p=0.1), collate_unpadded(rows_of(LENGTHS))
    with without_padding(model):
        state = torch.get_rng_state()
        first, second = outcome(model, batch), outcome(model, batch)
        torch.set_rng_state(state)
        again = outcome(model, batch)
    assert first[0] == again[0] != second[0]
    assert all(torch.equal(g, again[2][name]) for name, g in first[2].items())


def test_ragged_attention_is_that_of_each_review() -> None:
    """The path for CUDA, on a CPU: its arithmetic, not its kernels."""
    cu_seqlens = torch.tensor([0, 5, 6, 15], dtype=torch.int32)
    first = torch.arange(4, dtype=torch.int32)
    q, k, v = torch.randn(3, 15, 2, 8, generator=torch.Generator().manual_seed(1))
    for queries, starts in ((q, cu_seqlens), (q[:3], first)):
        expected = attend(queries, k, v, starts, cu_seqlens, None)
        difference = (_attend_ragged(queries, k, v, starts, cu_seqlens, 0.0) - expected).abs()
        assert difference.max() < 1e-6, f"max {difference.max():.1e}, mean {difference.mean():.1e}"


def test_outside_the_context_the_model_is_the_librarys_own(tmp_path: Path) -> None:
    model, rows = tiny("bert"), rows_of((4, 9))
    names = list(model.state_dict())
    before = outcome(model, pad(rows))[0]
    with without_padding(model):
        model(**collate_unpadded(rows))
        assert list(model.state_dict()) == names
        model.save_pretrained(tmp_path)
        with pytest.raises(TypeError, match="an unpadded batch has"):
            model(**pad(rows))
    assert "forward" not in vars(model)
    assert outcome(model, pad(rows))[0] == before
    assert BertForSequenceClassification.from_pretrained(tmp_path).config.architectures == [
        "BertForSequenceClassification"
    ]


def electra() -> PreTrainedModel:
    config = ElectraConfig(
        vocab_size=200, embedding_size=16, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=32,
    )  # fmt: skip
    return ElectraForSequenceClassification(config)


def test_another_family_trains_on_padded_batches_and_says_so(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = load_tokenizer(tiny_base)
    texts = ["good film", "the plot was bad", "very good", "bad"]
    store = write_tokens([(texts, [1, 0, 1, 0])], load_word_pieces(tiny_base), 16, tmp_path)
    arguments = TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, max_steps=2, per_device_train_batch_size=2
    )
    tables = TrainingTables(tmp_path / "curve.csv", tmp_path / "epochs.csv", 1, 2)
    result = train_classifier(electra(), tokenizer, store, None, arguments, [tables])
    assert result.steps == 2
    assert "padded batches: electra is not DistilBERT or BERT" in capsys.readouterr().out


def scaled_wrongly(query: torch.Tensor, *rest: Any) -> torch.Tensor:
    return attend(query * 1.1, *rest)


def across_rows(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any
) -> torch.Tensor:
    queries, keys = (torch.tensor([0, len(x)], dtype=torch.int32) for x in (query, key))
    return attend(query, key, value, queries, keys, rest[-1])


def without_dropout_only(*tensors_and_dropout: Any) -> torch.Tensor:
    if tensors_and_dropout[-1]:
        raise RuntimeError("no kernel with dropout")
    return attend(*tensors_and_dropout)


def detached(*tensors_and_dropout: Any) -> torch.Tensor:
    return attend(*tensors_and_dropout).detach()


def losses_of_training(base: Path, folder: Path) -> list[float]:
    """The loss of each of three steps on six reviews."""
    texts = ["good film", "the plot was bad", "very good", "bad", "a very very good film", "not"]
    store = write_tokens([(texts, [1, 0, 1, 0, 1, 0])], load_word_pieces(base), 16, folder)
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"), use_cpu=True, max_steps=3, seed=5,
        per_device_train_batch_size=4, learning_rate=1e-3, logging_steps=1,
    )  # fmt: skip
    tables = TrainingTables(folder / "curve.csv", folder / "epochs.csv", 1, 2)
    model, tokenizer = load_classifier(base, 0), load_tokenizer(base)
    train_classifier(model, tokenizer, store, None, arguments, [tables])
    lines = (folder / "curve.csv").read_text().splitlines()[1:]
    return [float(line.split(",")[2]) for line in lines]


@pytest.fixture(scope="module")
def padded_losses(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cardproof.training.trainer.why_padded", lambda *_: "asked for")
        return losses_of_training(tiny_base, tmp_path_factory.mktemp("padded"))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (scaled_wrongly, "the logits of 4 rows are off by 0.0"),
        (across_rows, "the logits of 4 rows are off by"),
        (detached, "the gradients of 4 rows are off by"),
        (without_dropout_only, "it fails here: RuntimeError: no kernel with dropout"),
    ],
)
def test_a_fast_path_that_is_broken_here_gives_way_to_padded_batches(
    broken: Callable[..., torch.Tensor],
    said: str,
    padded_losses: list[float],
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cardproof.model.unpadded.model.attend", broken)
    assert len(padded_losses) == 3
    assert losses_of_training(tiny_base, tmp_path) == padded_losses
    out = capsys.readouterr().out
    assert "padded batches: without padding " in out and said in out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_check_of_the_fast_path_leaves_no_trace(dtype: torch.dtype) -> None:
    model, rows = tiny("distilbert", p=0.1), rows_of((40, 12, 90, 3, 7))
    state, before = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    assert why_unlike(model, rows, dtype) is None
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training and all(p.grad is None for p in model.parameters())
    assert "forward" not in vars(model)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"is_decoder": True}, "a decoder's attention is causal"),
        ({"problem_type": "regression"}, "only one label out of several"),
    ],
)
def test_what_needs_padding(change: dict[str, Any], why: str | None) -> None:
    model = tiny("bert")
    for name, value in change.items():
        setattr(model.config, name, value)
    said = why_padded(model)
    assert (said is None) if why is None else (said or "").startswith(why)


def test_rows_are_laid_end_to_end() -> None:
    batch = concatenate_rows([np.array([5, 6, 7], dtype=np.uint16), np.array([8], dtype=np.uint16)])
    assert batch["input_ids"].tolist() == [5, 6, 7, 8]
    assert batch["position_ids"].tolist() == [0, 1, 2, 0]
    assert batch["cu_seqlens"].tolist() == [0, 3, 4]
    assert next(iter(collate_unpadded(rows_of([1])))) == "labels"


@pytest.mark.parametrize(
    "batches", [lambda n: batches_by_tokens(n, 10), lambda n: batches_by_rows(n, 2)]
)
def test_batches_hold_every_row_once_longest_first(
    batches: Callable[[NDArray[np.int64]], list[NDArray[np.int64]]],
) -> None:
    lengths = np.array([3, 12, 5, 5, 1, 2])
    made = batches(lengths)
    assert np.concatenate(made).tolist() == [1, 2, 3, 0, 5, 4]
    assert all(lengths[b].sum() <= 10 or len(b) == 1 for b in batches_by_tokens(lengths, 10))
    assert batches(np.array([], dtype=np.int64)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_do_not_depend_on_the_other_rows_of_a_batch(family: str) -> None:
    model, rows = tiny(family).eval(), [row["input_ids"] for row in rows_of(LENGTHS)]
    with torch.inference_mode():
        together = unpadded_logits(model, **concatenate_rows(rows))
        alone = torch.cat([model(torch.from_numpy(r)[None]).logits for r in rows])
    difference = (together - alone).abs()
    assert difference.max() < 1e-5, f"max {difference.max():.1e}, mean {difference.mean():.1e}"
