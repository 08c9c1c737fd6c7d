"""Cards for the tests of drafting: made-up ones, and the real ones where they are at hand."""

import random
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

SHARED = Path(__file__).parents[3] / "shared"

# Made up, in the format of transformers' Trainer.
TRAINER = """\
---
license: apache-2.0
base_model: distilbert-base-uncased
tags:
- generated_from_trainer
datasets:
- imdb
metrics:
- accuracy
model-index:
- name: made-up-model
  results: []
---

# made-up-model

This model is a fine-tuned version of distilbert-base-uncased on the imdb dataset.
It achieves the following results on the evaluation set:
- Loss: 0.2011
- Accuracy: 0.9312

### Training hyperparameters

The following hyperparameters were used during training:
- learning_rate: 3e-05
- train_batch_size: 16
- eval_batch_size: 64
- seed: 7
- gradient_accumulation_steps: 2
- total_train_batch_size: 32
- optimizer: Use adamw_torch with betas=(0.9,0.98) and epsilon=1e-06
- lr_scheduler_type: cosine
- lr_scheduler_warmup_ratio: 0.1
- num_epochs: 3.0
- mixed_precision_training: Native AMP
- label_smoothing_factor: 0.1

### Training results

| Training Loss | Epoch | Step | Validation Loss | Accuracy | F1     |
|:-------------:|:-----:|:----:|:---------------:|:--------:|:------:|
| No log        | 1.0   | 704  | 0.2011          | 0.9312   | 0.9301 |
| 0.2514        | 2.0   | 1408 | 0.2154          | 0.9344   | 0.9350 |
| 0.1401        | 3.0   | 2112 | 0.2543          | 0.9328   | 0.9322 |


### Framework versions

- Transformers 4.41.2
- Pytorch 2.3.1+cu121
- Datasets 2.20.0
- Tokenizers 0.19.1
"""


def without_line_breaks(card: str) -> str:
    """A card as it is copied from some pages: on one line."""
    return " ".join(card.split())


def trainer_written_imdb_cards() -> Iterator[tuple[str, str]]:
    """Name and text of every card of the collection that dev/study/drafts.py drafts."""
    from dev.study.drafts import trainer_written

    with tarfile.open(SHARED / "model_cards.tar.gz") as archive:
        yield from trainer_written(archive)


def a_plain_distilbert_card() -> str:
    """One of those cards whose base is DistilBERT and which has an accuracy: always the same."""
    wanted = re.compile(r"version of \[?distilbert-base-uncased\b")
    cards = [t for _, t in trainer_written_imdb_cards() if wanted.search(t) and "Accuracy:" in t]
    return random.Random(12).choice(sorted(cards))
