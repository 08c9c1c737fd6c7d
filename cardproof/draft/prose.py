"""How people write about training and scoring, where no list of the Trainer says it."""

import re
from typing import Any

from cardproof.audit.facts import CardFacts
from cardproof.claims.published import IMDB_SPLIT
from cardproof.draft.document import Document, number, shown, whole_number
from cardproof.draft.parts import Part, Reasoned, combine

_NUMBER = r"(\d[\d,]{0,14}+(?:\.\d{1,20}+)?+(?:[eE][-+]?\d{1,3})?+)(?![\w%])"
_MAX_LENGTH = re.compile(
    r"\b(?:max(?:imum)?[ _-](?:sequence[ _-]|input[ _-]|token[ _-])?length"
    r"|truncated (?:to|at)(?: a max(?:imum)? length of)?)\W{1,8}(?:of |is |was |to )?"
    r"(\d{1,2}(?:,\d{3}|\d{0,3}))(?![\d%])",
    re.I,
)
_SCHEDULER = re.compile(
    r"\b(linear|cosine|constant)(?: learning[ -]rate)? (?:decay|schedul\w{1,3}|annealing)"
    r"|\bscheduler\W{1,6}(linear|cosine|constant)\b",
    re.I,
)
_WARMUP = re.compile(
    rf"\bwarm-?up[ _]steps\W{{1,6}}(?:of )?{_NUMBER}|{_NUMBER} warm-?up steps", re.I
)
_WEIGHT_DECAY = re.compile(rf"\bweight[ _-]decay\W{{1,8}}(?:of |is |was )?{_NUMBER}", re.I)
_EVAL_BATCH = re.compile(
    r"\b(?:eval|evaluation|test)[ _-]batch[ _-]size\W{1,8}(?:of |is )?(\d{1,5})(?![\d%]|\.\d)"
    r"|(?<![\d.])(\d{1,5}) \(eval(?:uation)?\)",
    re.I,
)
_HALF = re.compile(r"\b(fp16|bf16|bfloat16|float16|half[ -]precision)\b", re.I)
_OF_TRAINING = re.compile(r"\btrain|\bmixed\b", re.I)
_DENIED = re.compile(r"\bno\b|\bnot\b|\bwithout\b", re.I)
_HEDGE = re.compile(r"\blikely\b|\bprobably\b|\bpossibly\b|\bmay\b|\bmight\b", re.I)
_BEST = re.compile(r"\bload_best_model_at_end\W{1,4}true|\bbest[ -](?:check-?point|model)\b", re.I)
_RELOADED = re.compile(r"\breload|\brestor|\bload_best|\bre-load|\bis kept\b|\bkeep", re.I)
_CPU_BUILD = re.compile(r"\b(?:py)?torch\W{1,4}\d[\d.]{0,10}\+cpu\b", re.I)

_SHARES = re.compile(r"(?<![\d/.])(\d{2}) ?[/:-] ?(\d{1,2})(?![\d/])")
_BALANCE = re.compile(r"\bbalanc", re.I)  # of classes, as "50/50"
_TEST_SIZE = re.compile(r"\btest_size\W{1,3}(0?\.\d{1,6})")
_HELD_OUT = re.compile(r"\bvalid|\bdev(?:elopment)?\b|\bheld[ -]out\b|\bhold[ -]?out\b", re.I)
_SEED = re.compile(r"\b(?:seed|random_state)\W{1,8}(?:of |is )?(\d{1,10})(?!\d|\.\d)", re.I)


def read_prose(document: Document) -> Part:
    """What the card's prose says: how it was split, tokenized, trained and scored."""
    split, sentence = _read_split(document)
    seeds = (_first(_SEED, one) for one in document.sentences if one != sentence)
    recipe = document.facts.hyperparameters
    stated: dict[str, Any] = {
        **split,
        **_scored(document.facts),
        "tokenize.max_length": whole_number(_first(_MAX_LENGTH, document.prose)),
        "train.learning_rate": recipe.learning_rate,
        "train.scheduler": (_first(_SCHEDULER, document.prose) or "").lower() or None,
        "train.warmup_steps": whole_number(_first(_WARMUP, document.prose)),
        "train.weight_decay": number(_first(_WEIGHT_DECAY, document.prose)),
        "train.batch_size": recipe.rows_per_step,
        "train.epochs": recipe.epochs,
        "train.max_steps": recipe.max_steps,
        "train.seed": whole_number(next(filter(None, seeds), None)),
        "evaluate.batch_size": whole_number(_first(_EVAL_BATCH, document.prose)),
    }
    said = Part({key: value for key, value in stated.items() if value is not None})
    return combine([said, _precision(document), Part({}, {}, _load_best(document))])


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    """The first group of the first match that took part in it."""
    match = pattern.search(text)
    return next(filter(None, match.groups()), None) if match else None


def _read_split(document: Document) -> tuple[dict[str, Any], str]:
    """A share of the training rows that was held out, and the sentence that says so."""
    for sentence in document.sentences:
        if not _HELD_OUT.search(sentence) or not _OF_TRAINING.search(sentence):
            continue
        share = number(_first(_TEST_SIZE, sentence))
        parts = None if _BALANCE.search(sentence) else _SHARES.search(sentence)
        if share is None and parts and int(parts[1]) + int(parts[2]) == 100:
            share = min(int(parts[1]), int(parts[2])) / 100
        if share:
            found = {"split.validation": "holdout", "split.test_size": share}
            seed = whole_number(_first(_SEED, sentence))
            return found if seed is None else {**found, "split.seed": seed}, sentence
    return {}, ""


def _scored(facts: CardFacts) -> dict[str, Any]:
    """The rows that the figures are of, where the card says that they are the test rows."""
    splits = {claim.split for claim in facts.claims if claim.subject is None}
    if "test" not in splits and not facts.mentions_test and not facts.test_rows:
        return {}
    if facts.test_rows is None:
        return {"split.scored": "test"}
    rows = facts.test_rows.rows
    return {"split.scored": "test", "split.scored_rows": "all" if rows == IMDB_SPLIT else rows}


def _precision(document: Document) -> Part:
    """Half precision in so many words, or a build of torch that trains in fp32."""
    for sentence in document.sentences:
        match = _HALF.search(sentence)
        if not match or not _OF_TRAINING.search(sentence) or _DENIED.search(sentence):
            continue
        value = "bf16" if match[1].lower().startswith("b") else "fp16"
        if not _HEDGE.search(sentence):
            return Part({"train.precision": value})
        reason = f'the card says "{shown(sentence)}"'
        return Part({}, {}, {"train.precision": Reasoned(value, reason)})
    if _CPU_BUILD.search(document.prose):
        reason = "none is mentioned; the torch build is for CPUs, so fp32"
        return Part({}, {}, {"train.precision": Reasoned("fp32", reason)})
    return Part()


def _load_best(document: Document) -> dict[str, Reasoned]:
    """The best checkpoint in prose: which one is best, cards hardly ever say."""
    for sentence in document.sentences:
        if _BEST.search(sentence) and _RELOADED.search(sentence):
            reason = '"best checkpoint" by what? the lowest validation loss is the default'
            return {"train.load_best": Reasoned(True, reason)}
    return {}
