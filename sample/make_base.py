"""Makes the sample's base, a small DistilBERT: `python -m sample.make_base` (minutes on a CPU).

Its word pieces and its weights are learned from the sample's training texts and from more text of
the same grammar, without labels, by masked-language modelling; never from test rows. The seeds are
fixed; the last bits of the weights depend on the machine, so the committed files are pinned by sum.
"""

import argparse
import tempfile
from pathlib import Path

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

from cardproof.devices import keep_freed_memory
from cardproof.files import sha256_of, working_folder
from sample.make_reviews import SEED, Writer, make_corpus

FOLDER = Path("sample/hub/cardproof/sample-distilbert")
WORD_PIECES = 3000
POSITIONS = 512
TRAINING_LENGTH = 160
UNLABELLED = 8000  # further reviews of the same grammar


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


def pretrain(
    texts: list[str], tokenizer: BertTokenizerFast, epochs: float
) -> DistilBertForMaskedLM:
    """Masked-language modelling from random weights."""
    set_seed(SEED)
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        dim=128,
        n_layers=2,
        n_heads=4,
        hidden_dim=512,
        max_position_embeddings=POSITIONS,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = DistilBertForMaskedLM(config)
    encoded = tokenizer(texts, truncation=True, max_length=TRAINING_LENGTH)["input_ids"]
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            learning_rate=2e-3,
            warmup_steps=100,
            weight_decay=0.01,
            per_device_train_batch_size=64,
            num_train_epochs=epochs,
            seed=SEED % 2**31,
            use_cpu=True,
            save_strategy="no",
            logging_steps=50,
            train_sampling_strategy="group_by_length",
            report_to="none",
        )
        collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.2)
        rows = [{"input_ids": ids} for ids in encoded]
        Trainer(model, arguments, train_dataset=rows, data_collator=collator).train()
    return model


def main() -> None:
    """Write the base in the hub's format and print its sums."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=float, default=3, help="of pre-training (default: 3)")
    epochs = parser.parse_args().epochs
    keep_freed_memory()
    texts = unlabelled_texts()
    with working_folder(FOLDER) as folder:
        tokenizer = make_tokenizer(texts, folder)
        model = pretrain(texts, tokenizer, epochs)
        model.to(torch.float32).save_pretrained(folder)
    for path in sorted(FOLDER.iterdir()):
        print(f"{path}: {path.stat().st_size:,} bytes, sha256 {sha256_of(path)}")


if __name__ == "__main__":
    main()
