"""The words that cards use for metrics, averages and splits."""

import re
from collections.abc import Mapping
from typing import Any

from cardproof.audit.facts import Printed, Split
from cardproof.audit.numbers import as_share, of_yaml

_METRICS = {
    "accuracy": "accuracy",
    "acc": "accuracy",
    "f1": "f1",
    "f": "f1",  # "F-score", its filler word gone
    "precision": "precision",
    "recall": "recall",
    "loss": "loss",
    "crossentropyloss": "loss",
    "crossentropy": "loss",
    "cross entropy loss": "loss",
    "cross entropy": "loss",
}
_AVERAGES = ("macro", "weighted", "micro", "binary")
_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# Of an entry in a list of results these say nothing that changes the metric.
_FILLERS = {
    "score",
    "eval",
    "evaluation",
    "overall",
    "final",
    "best",
    "avg",
    "average",
    "set",
    "the",
}
_WORD = re.compile(r"[a-z0-9]+")


def _words(text: str) -> list[str]:
    return _WORD.findall(text[:120].lower())


def metric_named(name: str) -> str | None:
    """The metric that a name such as `Test F1-Score (macro)` stands for, if it is one of ours.

    A word that is not understood makes it another metric: `balanced accuracy`, `entity_f1`.
    """
    skipped = _FILLERS | set(_AVERAGES) | set(_SPLITS)
    return _METRICS.get(" ".join(word for word in _words(name) if word not in skipped))


def average_in(text: str) -> str | None:
    """The average that a text names; None if it names none, or several."""
    named = [average for average in _AVERAGES if average in _words(text)]
    return named[0] if len(named) == 1 else None


def split_in(text: str) -> Split | None:
    """The split that a text names; None if it names none, or several."""
    named = {_SPLITS[word] for word in _words(text) if word in _SPLITS}
    return named.pop() if len(named) == 1 else None


def text_of(value: Any) -> str:
    """A text of a YAML or JSON document, cut short; empty if the value is none.

    Never str() of what may be a nest of aliases: it could be larger than any memory.
    """
    return value[:80] if isinstance(value, str) else ""


def metric_entry(entry: Mapping[str, Any]) -> tuple[str, str | None, Printed] | None:
    """Metric, average and figure of a `{type, name, value}` entry, if it is a metric of ours."""
    kind, name = text_of(entry.get("type")), text_of(entry.get("name"))
    metric = metric_named(kind) or metric_named(name)
    printed = of_yaml(entry.get("value"))
    if metric is None or printed is None:
        return None
    share = printed if metric == "loss" else as_share(printed)
    return (metric, average_in(f"{kind} {name}"), share) if share else None
