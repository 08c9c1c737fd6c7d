"""Makes the sample's base, a small DistilBERT: `python -m sample.make_base` (seconds on a CPU).

Its WordPiece vocabulary is learned from the sample's training texts and from more text of the same
grammar, never from test rows; the learner breaks ties at random, so the committed files are pinned
by their SHA-256.
Its weights are as drawn: what masked-language modelling gives so small a model in minutes made
every fine-tuning worse (results/LOG.md, 2026-11-23).
"""

import argparse
from pathlib import Path

from tokenizers import BertWordPieceTokenizer
from transformers import BertTokenizerFast, DistilBertConfig, DistilBertForMaskedLM, set_seed

from cardproof.files import sha256_of, working_folder
from sample.make_reviews import SEED, Writer, make_corpus

FOLDER = Path("sample/hub/cardproof/sample-distilbert")
WORD_PIECES = 3000  # at most: these texts give fewer
UNLABELLED = 8000  # further reviews of the same grammar
INITIALIZER_RANGE = 0.04  # the usual 0.02 is for width 768; some seeds learn nothing from it


def unlabelled_texts() -> list[str]:
    """The texts of train, and more of their kind."""
    writer = Writer(SEED + 100, whole=False)
    more = [writer.review(i % 2) for i in range(UNLABELLED)]
    return [text for text, _ in make_corpus()["train"]] + more


def make_tokenizer(texts: list[str], folder: Path) -> BertTokenizerFast:
    """Train WordPiece, lower-cased as bert-base-uncased has them, and save the tokenizer."""
    learner = BertWordPieceTokenizer(lowercase=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    learner.train_from_iterator(
        texts, vocab_size=WORD_PIECES, special_tokens=special, show_progress=False
    )
    learner.save_model(str(folder))  # vocab.txt
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=512)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_model(tokenizer: BertTokenizerFast) -> DistilBertForMaskedLM:
    """Two layers of width 64, with the head that DistilBERT's own checkpoint comes with."""
    set_seed(SEED)
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        dim=64,
        n_layers=2,
        n_heads=2,
        hidden_dim=256,
        max_position_embeddings=tokenizer.model_max_length,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=INITIALIZER_RANGE,
    )
    return DistilBertForMaskedLM(config)


def main() -> None:
    """Write the base in the hub's format and print its sums."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    with working_folder(FOLDER) as folder:
        tokenizer = make_tokenizer(unlabelled_texts(), folder)
        make_model(tokenizer).save_pretrained(folder)
    for path in sorted(FOLDER.iterdir()):
        print(f"{path}: {path.stat().st_size:,} bytes, sha256 {sha256_of(path)}")


if __name__ == "__main__":
    main()
