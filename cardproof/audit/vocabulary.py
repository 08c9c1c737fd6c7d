"""The words that cards use for metrics, averages and splits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cardproof.audit.facts import Printed, Split
from cardproof.audit.numbers import as_share, of_yaml

Kind = Literal["share", "correlation", "loss", "other"]

# Metric: what kind of number it is, and what cards call it, in words.
METRICS: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "accuracy": ("share", ("accuracy", "acc")),
    "balanced accuracy": ("share", ("balanced accuracy", "bal acc", "balanced acc")),
    "f1": ("share", ("f1", "f", "f1score", "fscore", "f1 measure", "f measure", "f 1")),
    "precision": ("share", ("precision", "prec")),
    "recall": ("share", ("recall", "sensitivity")),
    "specificity": ("share", ("specificity",)),
    "auc": ("share", ("auc", "roc auc", "auroc", "auc roc")),
    "exact match": ("share", ("exact match", "em", "exact")),
    "mcc": (
        "correlation",
        ("mcc", "matthews correlation", "matthews corrcoef", "matthews correlation coefficient"),
    ),
    "kappa": ("correlation", ("kappa", "cohen kappa", "cohens kappa", "cohen s kappa")),
    "pearson": ("correlation", ("pearson", "pearsonr", "pearson correlation")),
    "spearman": ("correlation", ("spearman", "spearmanr", "spearman correlation")),
    "loss": ("loss", ("loss", "crossentropyloss", "cross entropy", "cross entropy loss",
                      "crossentropy")),
    "perplexity": ("other", ("perplexity", "ppl")),
    "wer": ("other", ("wer", "word error rate")),
    "cer": ("other", ("cer", "character error rate")),
    "bleu": ("other", ("bleu",)),
    "sacrebleu": ("other", ("sacrebleu",)),
    "rouge1": ("other", ("rouge1", "rouge 1")),
    "rouge2": ("other", ("rouge2", "rouge 2")),
    "rougel": ("other", ("rougel", "rouge l")),
    "rougelsum": ("other", ("rougelsum", "rouge lsum", "rouge l sum")),
    "meteor": ("other", ("meteor",)),
    "mae": ("other", ("mae",)),
    "mse": ("other", ("mse",)),
    "rmse": ("other", ("rmse",)),
}  # fmt: skip
_BY_PHRASE = {phrase: metric for metric, (_, names) in METRICS.items() for phrase in names}
_LONGEST_PHRASE = 3  # words
_AVERAGES = ("macro", "weighted", "micro", "binary", "samples")
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
    "averaged",
    "set",
    "the",
    "value",
    "metric",
}
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class Name:
    """What the name of a figure says, such as `Test Age F1-Score (macro)`.

    Attributes:
        metric: one of `METRICS`; else the words themselves, if none of them names one.
        subject: words that are not understood, so that the figure is of something else: `age`.
        average: macro, weighted, micro, binary or samples.
        split: train, validation or test.
        known: whether `metric` is one of `METRICS`.
    """

    metric: str
    subject: str | None
    average: str | None
    split: Split | None
    known: bool

    @property
    def key(self) -> str:
        """As `Claim.key`, with the training split, whose figures are never those of another."""
        split = "train" if self.split == "train" else None
        return " ".join(filter(None, (split, self.average, self.subject, self.metric)))


def _words(text: str) -> list[str]:
    return _WORD.findall(text[:120].lower().replace("'", " "))


def read_name(name: str) -> Name:
    """Take the name of a figure apart."""
    words = [word for word in _words(name) if word not in _FILLERS]
    rest = [word for word in words if word not in _AVERAGES and word not in _SPLITS]
    average, split = average_in(name), split_in(name)
    if _words(name) == ["f"]:  # a column of anything; an F-score says that it is one
        return Name("f", None, None, None, known=False)
    for length in range(_LONGEST_PHRASE, 0, -1):
        for start in range(len(rest) - length, -1, -1):
            metric = _BY_PHRASE.get(" ".join(rest[start : start + length]))
            if metric:
                subject = rest[:start] + rest[start + length :]
                if len(set(_AVERAGES) & set(words)) > 1:
                    subject = [*subject, *(word for word in words if word in _AVERAGES)]
                return Name(metric, " ".join(subject) or None, average, split, known=True)
    return Name(" ".join(rest), None, average, split, known=False)


def metric_named(name: str) -> str | None:
    """The metric that a name such as `Test F1-Score (macro)` stands for, if it is one of ours.

    A word that is not understood makes it another metric: `entity_f1`.
    """
    read = read_name(name)
    return read.metric if read.known and read.subject is None else None


def kind_of(metric: str) -> Kind:
    """What kind of number a metric is."""
    return METRICS[metric][0] if metric in METRICS else "other"


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


def as_score(metric: str, printed: Printed) -> Printed:
    """The figure as a share where its metric is one; as it is where it cannot be one at all."""
    return (as_share(printed) or printed) if kind_of(metric) == "share" else printed


def metric_entry(entry: Mapping[str, Any]) -> tuple[Name, Printed] | None:
    """Name and figure of a `{type, name, value}` entry; None if it has no figure.

    The type is the metric, and the name says more: `Test WER (+LM)` is of type `wer`.
    """
    kind, name = read_name(text_of(entry.get("type"))), read_name(text_of(entry.get("name")))
    printed = of_yaml(entry.get("value"))
    if printed is None or not (kind.metric or name.metric):
        return None
    average, split = name.average or kind.average, name.split or kind.split
    if kind.known and not (name.known and name.metric == kind.metric):
        # A name that is no other metric is of a label: {type: f1, name: "PER"}.
        own = None if name.known or name.metric == kind.metric else name.metric
        chosen = Name(kind.metric, own or kind.subject, average, split, known=True)
    elif name.known:
        chosen = Name(name.metric, name.subject, average, split, known=True)
    else:
        chosen = Name(name.metric or kind.metric, None, average, split, known=False)
    return chosen, as_score(chosen.metric, printed)
