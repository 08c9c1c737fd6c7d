"""Makes the sample's base, a small DistilBERT: `python -m sample.make_base` (minutes on a CPU).

Its word pieces and its weights are learned from the sample's training texts and from more text of
the same grammar, without labels, by masked-language modelling; never from test rows. The seeds are
fixed; the last bits of the weights depend on the machine, so the committed files are pinned by sum.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import BertWordPieceTokenizer
from transformers import (
    BertTokenizerFast,
    DataCollatorForLanguageModeling,
    DistilBertConfig,
    DistilBertForMaskedLM,
    Trainer,
    TrainingArguments,
    set_seed,
)

from cardproof.files import sha256_of, working_folder
from cardproof.model.devices import keep_freed_memory
from sample.make_reviews import SEED, Writer, make_corpus

FOLDER = Path("sample/hub/cardproof/sample-distilbert")
WORD_PIECES = 3000
POSITIONS = 512
UNLABELLED = 8000  # further reviews of the same grammar
CHUNK = 64  # tokens of a training row: short rows are quick, and phrases are shorter
INITIALIZER_RANGE = 0.06  # the usual 0.02 is for width 768; a width of 128 learns nothing from it


def unlabelled_texts() -> list[str]:
    """The texts of train, and more of their kind."""
    writer = Writer(SEED + 100, whole=False)
    more = [writer.review(i % 2) for i in range(UNLABELLED)]
    return [text for text, _ in make_corpus()["train"]] + more


def make_tokenizer(texts: list[str], folder: Path) -> BertTokenizerFast:
    """Learn word pieces, lower-cased as bert-base-uncased has them, and save the tokenizer."""
    learner = BertWordPieceTokenizer(lowercase=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    learner.train_from_iterator(
        texts, vocab_size=WORD_PIECES, special_tokens=special, show_progress=False
    )
    learner.save_model(str(folder))  # vocab.txt
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=POSITIONS)
    tokenizer.save_pretrained(folder)
    return tokenizer


def training_rows(texts: list[str], tokenizer: BertTokenizerFast) -> list[dict[str, list[int]]]:
    """Each text cut into rows of at most 64 tokens, [CLS] and [SEP] included."""
    rows = []
    for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]:
        for start in range(0, len(ids), CHUNK - 2):
            piece = ids[start : start + CHUNK - 2]
            rows.append({"input_ids": [tokenizer.cls_token_id, *piece, tokenizer.sep_token_id]})
    return rows


def collate_with_cls(collator: DataCollatorForLanguageModeling) -> Callable[[Any], Any]:
    """Let [CLS] guess one of the row's hidden words, so that it gathers what the row is about."""

    def collate(rows: Any) -> Any:
        batch = collator(rows)
        labels = batch["labels"]
        hidden = (labels != -100).float()
        has_one = hidden.sum(dim=1) > 0
        picked = torch.multinomial(hidden[has_one], 1).squeeze(1)
        labels[has_one, 0] = labels[has_one, picked]
        return batch

    return collate


def repeat_positions(model: DistilBertForMaskedLM) -> None:
    """Give every position past the training rows the embedding of one within, in turn."""
    weights = model.distilbert.embeddings.position_embeddings.weight.data
    places = torch.arange(CHUNK, POSITIONS)
    weights[places] = weights[1 + (places - 1) % (CHUNK - 1)]


def pretrain(texts: list[str], tokenizer: BertTokenizerFast, steps: int) -> DistilBertForMaskedLM:
    """Masked-language modelling from random weights, without dropout: a small model underfits."""
    set_seed(SEED)
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        dim=128,
        n_layers=2,
        n_heads=4,
        hidden_dim=512,
        max_position_embeddings=POSITIONS,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=INITIALIZER_RANGE,
        dropout=0.0,
        attention_dropout=0.0,
    )
    model = DistilBertForMaskedLM(config)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            learning_rate=2e-3,
            warmup_steps=200,
            weight_decay=0.01,
            per_device_train_batch_size=16,
            max_steps=steps,
            seed=SEED,
            use_cpu=True,
            save_strategy="no",
            logging_steps=250,
            report_to="none",
        )
        collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
        rows = training_rows(texts, tokenizer)
        collate = collate_with_cls(collator)
        Trainer(model, arguments, train_dataset=rows, data_collator=collate).train()
    repeat_positions(model)
    model.config.dropout = model.config.attention_dropout = 0.1  # for the fine-tuning to come
    return model


def main() -> None:
    """Write the base in the hub's format and print its sums."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3000, help="of pre-training (default: 3000)")
    steps = parser.parse_args().steps
    keep_freed_memory()
    texts = unlabelled_texts()
    with working_folder(FOLDER) as folder:
        tokenizer = make_tokenizer(texts, folder)
        model = pretrain(texts, tokenizer, steps)
        model.save_pretrained(folder)
    for path in sorted(FOLDER.iterdir()):
        print(f"{path}: {path.stat().st_size:,} bytes, sha256 {sha256_of(path)}")


if __name__ == "__main__":
    main()
