"""How a card says that it was split, tokenized, trained and scored: in a list, or in prose."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from cardproof.audit.numbers import whole
from cardproof.audit.recipe import NUMBER
from cardproof.claims.published import IMDB_SPLIT
from cardproof.draft.document import Document, Reading, Value, number, search, shown


def _betas(text: str) -> list[float | None] | None:
    """Of `Adam with betas=(0.9,0.999) and epsilon=1e-08`."""
    match = re.search(rf"\bbetas\W{{1,4}}{NUMBER}, ?{NUMBER}", text, re.I)
    return [number(match[1]), number(match[2])] if match else None


# Lines of the Trainer's list: the keys that they are of, and what reads their values.
_LINES: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("learning_rate", "train.learning_rate", number),
    ("train_batch_size", "train.batch_size", whole),
    ("eval_batch_size", "evaluate.batch_size", whole),
    ("seed", "train.seed", whole),
    ("optimizer", "train.betas", _betas),
    ("optimizer", "train.epsilon", lambda s: number(search(rf"\bepsilon\W{{1,4}}{NUMBER}", s))),
    ("lr_scheduler_type", "train.scheduler", str.lower),
    ("lr_scheduler_warmup_steps", "train.warmup_steps", whole),
    ("num_epochs", "train.epochs", number),
    ("training_steps", "train.max_steps", whole),
    # The Trainer writes this line for fp16, not for bf16 (transformers/modelcard.py).
    ("mixed_precision_training", "train.precision", lambda s: "fp16" if "AMP" in s else None),
)
# Lines that say nothing without others: the audit and schedule.py read them.
_READ_TOGETHER = (
    "distributed_type", "num_devices", "gradient_accumulation_steps", "total_train_batch_size",
    "lr_scheduler_warmup_ratio",
)  # fmt: skip
# Not those that share Adam's settings but not its arithmetic: 8-bit, paged, Adamax.
_ADAM = re.compile(r"\badamw?(?:_torch(?:_fused)?|_hf)?\b", re.I)

# How people write the same; the audit reads their learning rates, batch sizes and epochs.
_PROSE: dict[str, tuple[str, Callable[[str], Any]]] = {
    "tokenize.max_length": (
        r"\b(?:max(?:imum)?[ _-](?:sequence[ _-])?length|truncated to)\W{1,8}(?:of )?(\d{1,4})\b",
        whole,
    ),
    "train.scheduler": (r"\b(linear|cosine|constant) (?:decay|schedul)", str.lower),
    "train.warmup_steps": (rf"\bwarmup_steps\W{{1,4}}{NUMBER}|{NUMBER} warm-?up steps", whole),
    "train.weight_decay": (rf"\bweight[ _]decay\W{{1,8}}(?:of )?{NUMBER}", number),
    "evaluate.batch_size": (
        r"\beval(?:uation)?[ _]batch[ _]size\W{1,8}(?:of )?(\d{1,5})\b|\b(\d{1,5}) \(eval\)",
        whole,
    ),
}
_SHARES = re.compile(r"(?<![\d/.])(\d{2}) ?[/:-] ?(\d{1,2})(?![\d/])")  # 90/10
_HELD_OUT = re.compile(r"\bvalid|\bdev(?:elopment)?\b|\bheld[ -]out\b|\bhold[ -]?out\b", re.I)
_OF_TRAINING = re.compile(r"\btrain|\bmixed\b", re.I)
_HALF = re.compile(r"\b(fp16|bf16|bfloat16|float16)\b", re.I)
_DENIED = re.compile(r"\bno\b|\bnot\b|\bwithout\b", re.I)
_HEDGE = re.compile(r"\blikely\b|\bprobably\b|\bpossibly\b|\bmay\b|\bmight\b", re.I)
_CPU_BUILD = re.compile(r"\b(?:py)?torch\W{1,4}\d[\d.]{0,10}\+cpu\b", re.I)
_BEST = re.compile(r"\bbest[ -](?:check-?point|model)\b", re.I)
_RELOADED = re.compile(r"\bre-?load|\brestor", re.I)

# What a person should look up where it is mentioned without a value.
_MENTIONS = {
    "train.learning_rate": r"\blearning[ -]rate\b",
    "train.scheduler": r"\bschedul\w{1,3}\b",
    "train.warmup_steps": r"\bwarm-?up\b",
    "train.epochs": r"\bepochs?\b",
}
_NO_KEY = re.compile(
    r"early[ -]stopping|gradient[ -]clipping|label[ -]smoothing|class weights|frozen|LoRA", re.I
)


def read_settings(document: Document) -> Iterator[Value | str]:
    """What the card states of the split, the tokens, the training and the scoring."""
    yield from _held_out(document)
    yield from _lines(document)
    yield from _prose(document)
    yield from _scored(document)
    yield from _half_precision(document)
    if any(_BEST.search(one) and _RELOADED.search(one) for one in document.sentences):
        why = '"best checkpoint" by what? the lowest validation loss is the default'
        yield Value("train.load_best", True, why, assumed=True)


def _lines(document: Document) -> Iterator[Value | str]:
    """The Trainer's list; rows of several devices or accumulated passes are taken together."""
    items, recipe = document.hyperparameters, document.facts.hyperparameters
    rows, devices, passes = recipe.rows_per_step, recipe.devices or 1, recipe.accumulation or 1
    if rows and rows != recipe.batch:
        why = f"{recipe.batch} rows x {devices} devices x {passes} accumulated passes"
        yield Value("train.batch_size", rows, why)
    read = set(_READ_TOGETHER)
    for line, key, reader in _LINES:
        value = reader(items[line]) if line in items else None
        if value is not None:
            read.add(line)
            yield Value(key, value)
    for name, text in items.items():
        if name not in read:
            yield f"{shown(f'{name}: {text}')}: no key of a card takes it"
        elif name == "optimizer" and not _ADAM.search(text):
            yield f"{shown(f'{name}: {text}')}: it is trained with AdamW here"


def _prose(document: Document) -> Iterator[Value]:
    """Settings in sentences, but for those that the list has a line for."""
    recipe = document.facts.hyperparameters
    audited = ("learning_rate", "epochs", "max_steps", "seed")
    found: dict[str, Any] = {f"train.{name}": getattr(recipe, name) for name in audited}
    found["train.batch_size"] = recipe.batch
    if any(_held_out(document)):
        del found["train.seed"]  # it may be the split's
    for key, (pattern, read) in _PROSE.items():
        found[key] = read(search(pattern, document.prose))
    listed = {key for line, key, _ in _LINES if line in document.hyperparameters}
    yield from (Value(key, value) for key, value in found.items() if key not in listed)


def _held_out(document: Document) -> Iterator[Value]:
    """A share of the training rows that was held out, as 90/10, and the seed of the draw."""
    for sentence in document.sentences:
        parts = _SHARES.search(sentence)
        if not parts or not _HELD_OUT.search(sentence) or not _OF_TRAINING.search(sentence):
            continue
        most, least = int(parts[1]), int(parts[2])
        if most + least == 100 and least < most:  # 50/50 is how the classes are balanced
            yield Value("split.validation", "holdout")
            yield Value("split.test_size", least / 100)
            seed = search(r"\b(?:seed|random_state)\W{1,8}(\d{1,10})\b", sentence)
            yield Value("split.seed", whole(seed))
            return


def _scored(document: Document) -> Iterator[Value]:
    """The rows that the figures are of, where the card says that they are the test rows."""
    facts = document.facts
    splits = {claim.split for claim in facts.claims if claim.subject is None}
    if "test" in splits or facts.mentions_test or facts.test_rows:
        yield Value("split.scored", "test")
    if facts.test_rows:
        rows = facts.test_rows.rows
        yield Value("split.scored_rows", "all" if rows == IMDB_SPLIT else rows)


def _half_precision(document: Document) -> Iterator[Value]:
    """Half precision in so many words, or a build of torch that trains in fp32."""
    for sentence in document.sentences:
        match = _HALF.search(sentence)
        if match and _OF_TRAINING.search(sentence) and not _DENIED.search(sentence):
            value = "bf16" if match[1].lower().startswith("b") else "fp16"
            doubt = f'the card says "{shown(sentence)}"' if _HEDGE.search(sentence) else ""
            yield Value("train.precision", value, doubt, assumed=bool(doubt))
            return
    if _CPU_BUILD.search(document.prose):
        why = "none is mentioned; the torch build is for CPUs, so fp32"
        yield Value("train.precision", "fp32", why, assumed=True)


def read_mentions(document: Document, read: Reading) -> Iterator[str]:
    """What a person should look up, as it was not read, each with a sentence that mentions it."""
    for key, pattern in _MENTIONS.items():
        about = (one for one in document.sentences if re.search(pattern, one, re.I))
        sentence = next(about, None) if read.get(key) is None else None
        if sentence:
            yield f'"{shown(sentence)}": no value for {key} was read in it'
    told = (one for one in document.sentences if _NO_KEY.search(one) and not _DENIED.search(one))
    yield from (f'"{shown(one)}": no key of a card takes it' for one in told)
