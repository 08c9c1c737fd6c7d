"""results/audit/README.md, from counts and judgements."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cardproof.evaluation.statistics import wilson_interval
from dev.audit.labelled import Label, by_kind, precision

_HEAD = """\
# What the audit finds on real model cards

`cardproof audit` on {cards:,} model cards of the Hugging Face hub, one half of a collection. Counts
only: no card is named but the five of this project. Written by `python -m dev.audit survey`; the
cards are not in this repository.

## How many can be checked

| bottom line | cards | share |
|---|---|---|
{verdicts}

On {checkable:,} cards something was found or compared with a result:

| compared | cards |
|---|---|
{compared}

## What was found, and what of it was read

An error is proven: figures of one list that cannot all hold, whatever is meant by them. A warning
names the reading under which the card holds. Every error and every warning was held against the
figures of its card. The judgements are [tests/audit/labelled.csv](../../tests/audit/labelled.csv).
Right means that what the finding says of the card is so, that the card itself does not explain it,
and that its author could be expected to call it fair. There was one judge, and some authors have
many cards alike: {most_alike} of the {of_rows} headlines that differ from their row are one
author's.

This is a second reading, stricter than the first. Most of what the first had called right is gone,
with rules that accuse unfairly: headlines that share no figure with any row of the training table,
which may be of another evaluation, or of a row after the end of the table. Those were sorted by
rule, not read again one by one.

| finding | cards | read | right |
|---|---|---|---|
{kinds}

| | right before | right now |
|---|---|---|
| errors | {error_before} | {error_after} |
| warnings | {warning_before} | {warning_after} |

"Before" is commit 631094f: all its errors, and 200 of its warnings other than on completeness, by
the first reading. The rules were changed after these cards were read, until no finding was left
that was called wrong, so "now" is no estimate for other cards. The 95 % intervals (Wilson's) take
each finding for a draw of its own; as authors have many cards alike, they are too narrow.

Speed, on one core: {cards_per_second} cards a second, the slowest {slowest_seconds} s.
"""
_PEERS = """
## Beside mlscorecheck and GRIM

[mlscorecheck](https://github.com/FalseNegativeLab/mlscorecheck) tests whether scores of two classes
fit one confusion matrix of known classes; GRIM, whether an accuracy is a whole count of a known
number of rows. Computed at commit 904ade1, and not since: both got the figures as the audit read
them then, with the rows of known data sets and with rules that it no longer has. On the five cards:

| card | mlscorecheck | GRIM | cardproof audit |
|---|---|---|---|
{five}

mlscorecheck calls DeepAxion's scores inconsistent, as scores of one class. The audit adds that they
are possible as macro or weighted averages, and for which accuracies
([docs/audit.md](../../docs/audit.md)).

On fifty cards, drawn with seed 14 of {cards_with_two_scores:,} with two or more headline scores:

| word | mlscorecheck | GRIM | cardproof audit |
|---|---|---|---|
{fifty}

Of the fifty, the peers alone found fault with {found_by_peers_only}, and the audit alone, by rules
that are gone since, with {found_by_cardproof_only}. What GRIM found are accuracies that are no
whole count of a known split; a part of the split may have been scored, so the audit is silent. What
the audit lacks of mlscorecheck are MCC, kappa and specificity, scores aggregated over folds and
data sets, and regression; cards hardly give what those need. So it is no dependency.
"""


def render_page(
    survey: Mapping[str, Any], peers: Mapping[str, Any], labels: Sequence[Label]
) -> str:
    """The page as Markdown."""
    verdicts = survey["verdicts"]
    shares = {
        f"{severity}_{audit}": _share(*precision(labels, audit, severity))
        for severity in ("error", "warning")
        for audit in ("before", "after")
    }
    authors = Counter(
        one.card.partition("_")[0]
        for one in labels
        if (one.audit, one.code) == ("after", "headline-differs-from-row")
    )
    page = _HEAD.format(
        **{key: survey[key] for key in ("cards", "cards_per_second", "slowest_seconds")},
        checkable=survey["cards"] - verdicts.get("nothing compared", 0),
        verdicts=_rows((w, f"{n:,}", f"{n / survey['cards']:.1%}") for w, n in verdicts.items()),
        compared=_rows((what, f"{n:,}") for what, n in survey["compared"].items()),
        kinds=_rows(_kinds(survey["kinds"], by_kind(labels, "after"))),
        of_rows=sum(authors.values()),
        most_alike=max(authors.values(), default=0),
        **shares,
    )
    return page + (_peers(peers) if peers else "")


def _kinds(
    kinds: Mapping[str, int], judged: Mapping[tuple[str, str], tuple[int, int]]
) -> list[tuple[str, ...]]:
    """A row for each kind of error and warning."""
    rows: list[tuple[str, ...]] = []
    for kind, cards in kinds.items():
        severity, _, code = kind.partition(" ")
        right, read = judged.get((severity, code), (0, 0))
        if severity != "note":
            rows.append((f"{severity}: {code}", f"{cards:,}", str(read), _share(right, read)))
    return rows


def _peers(peers: Mapping[str, Any]) -> str:
    fifty = peers["fifty"]
    words = list(dict.fromkeys(word for counts in fifty.values() for word in counts))
    return _PEERS.format(
        five=_rows((name, *words) for name, words in peers["five"].items()),
        fifty=_rows((word, *(str(fifty[tool].get(word, 0)) for tool in fifty)) for word in words),
        **{
            key: peers[key]
            for key in ("cards_with_two_scores", "found_by_peers_only", "found_by_cardproof_only")
        },
    )


def _share(right: int, judged: int) -> str:
    if not judged:
        return "-"
    interval = wilson_interval(right, judged)
    return f"{right} of {judged}, {right / judged:.0%} ({interval.low:.0%} to {interval.high:.0%})"


def _rows(rows: Any) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
