"""Runs that differ in their seed only, put together: pure functions over runs."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from cardproof.claims.judge import JudgedClaim, judge_claims
from cardproof.evaluation.statistics import Summary, summarise
from cardproof.recipe.load import as_override
from cardproof.recipe.schema import Recipe
from cardproof.runs.reading import LeftOut, Run
from cardproof.text import printable

REPEAT = (
    "same recipe, seed and code as {}, yet other figures: another machine or number of threads; a "
    "repeat is not another seed"
)


@dataclass(frozen=True, eq=False)
class Group:
    """Runs of one recipe."""

    label: str  # the card's title, and what deviates from it in this group but not in all
    runs: tuple[Run, ...]  # by seed, no seed twice

    @property
    def recipe(self) -> Recipe:
        """Of all runs but for the seed; claims and rules are those of the first."""
        return self.runs[0].recipe

    @property
    def precision(self) -> str:
        """What the runs computed in; where that is not on record, what the recipe asks for."""
        return self.runs[0].precision or self.recipe.train.precision

    @property
    def seeds(self) -> list[int]:
        """Of training, ascending."""
        return [run.seed for run in self.runs]

    def values(self, metric: str) -> list[float]:
        """A metric of each run that has it, by "<file>.<key>"."""
        return [run.metrics[metric] for run in self.runs if metric in run.metrics]

    def summary(self, metric: str) -> Summary | None:
        """Count, mean and standard deviation of a metric; None where no run has it."""
        values = self.values(metric)
        return summarise(values) if values else None

    @cached_property
    def claims(self) -> list[JudgedClaim]:
        """The scores and losses that the card claims, judged by all runs."""
        return judge_claims(self.recipe, [run.metrics for run in self.runs], self.precision)

    def claim(self, key: str) -> JudgedClaim | None:
        """The claim of that key; None where the card makes none."""
        return next((claim for claim in self.claims if claim.key == key), None)


@dataclass(frozen=True)
class Grouping:
    """All runs in groups.

    Groups are ordered by card as these appear; the card's own recipe first, then the rest from the
    highest accuracy down.
    """

    groups: list[Group]
    same: list[str]  # revisions whose run has another name already, a sentence each
    left_out: list[LeftOut]  # runs that are in no group
    notes: list[str]  # what else a reader must know of the groups
    shared: list[str]  # "model.base=minilm": deviations of every group, which no label repeats


def group_runs(runs: Iterable[Run]) -> Grouping:
    """Put runs together that differ in their seed only.

    The same run under several names counts once, as the first name that has its logits. A second
    run of the same seed that came to other figures is left out: a repeat is not another seed.
    """
    members: dict[str, dict[int, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        members[json.dumps(what_ran(run), sort_keys=True)][run.seed].append(run)
    groups, same, left_out = [], [], []
    for by_seed in members.values():
        kept = []
        for _, found in sorted(by_seed.items()):
            first, *others = sorted(found, key=lambda run: run.scored is None)
            kept.append(first)
            for other in others:
                if _figures(other) == _figures(first):
                    same.append(
                        f"{other.name} is the same run as {first.name}{_judged(first, other)}"
                    )
                else:
                    left_out.append(LeftOut(other.name, REPEAT.format(first.name)))
        groups.append(Group("", tuple(kept)))
    shared = _shared(groups)
    labelled = [replace(group, label=_label(group.runs[0], shared)) for group in groups]
    groups, notes = _tell_apart(labelled)
    notes += [note for group in groups for note in _notes(group)]
    return Grouping(_in_order(groups), same, left_out, notes, shared)


def what_ran(run: Run) -> dict[str, Any]:
    """All that decides a run's figures except its seed: two runs of equal values are repeats."""
    recipe = run.recipe
    train = recipe.train.model_dump()
    del train["seed"]
    return {
        "card": recipe.name,
        "labels": recipe.card.labels,
        "reviews": recipe.reviews.model_dump(),
        "data": [recipe.data.limit, recipe.data.test_limit],
        "base": recipe.base.model_dump(),
        "split": recipe.split.model_dump(),
        "tokenize": recipe.tokenize.model_dump(),
        "train": train,
        "evaluate": recipe.evaluate.model_dump(),
        # a run of an older version may have a key that was removed since
        "deviations": [d.model_dump() for d in recipe.deviations if d.key != "train.seed"],
        "precision": run.precision or recipe.train.precision,
        "code": dict(run.code),
    }


def _figures(run: Run) -> tuple[float | None, ...]:
    """To five decimals: those of a summary are rounded."""
    found = (run.metrics.get(f"evaluate.{key}") for key in ("accuracy", "loss"))
    return tuple(None if value is None else round(value, 5) for value in found)


def _rules(run: Run) -> tuple[object, object]:
    """What a run is judged by: the card's claims, and when one counts as reproduced."""
    return run.recipe.card.claims, run.recipe.verdict


def _judged(first: Run, other: Run) -> str:
    same = _rules(first) == _rules(other)
    return "" if same else f", and judged by the claims and verdict settings of {first.name}"


def _label(run: Run, shared: Sequence[str]) -> str:
    """The card's title and what deviates from it, without what is said of all groups."""
    own = [one for one in _deviations(run) if one not in shared]
    return printable(", ".join([run.recipe.card.title, *own]))


def _shared(groups: Sequence[Group]) -> list[str]:
    """The deviations of every group, in the order of the first; none of a single group."""
    first, *others = [_deviations(group.runs[0]) for group in groups] or [[]]
    return [one for one in first if all(one in of for of in others)] if others else []


def _deviations(run: Run) -> list[str]:
    recipe = run.recipe
    found = [f"{d.key}={as_override(d.ours)}" for d in recipe.deviations if d.key != "train.seed"]
    device = run.precision not in (None, recipe.train.precision)
    return [printable(one) for one in found] + ([f"in {run.precision}"] if device else [])


def _tell_apart(groups: list[Group]) -> tuple[list[Group], list[str]]:
    """Labels of their own for groups whose deviations read the same, and what is different."""
    counts = Counter(group.label for group in groups)
    firsts: dict[str, Group] = {}
    apart, notes = [], []
    for group in groups:
        first = firsts.setdefault(group.label, group)
        if counts[group.label] == 1 or first is group:
            apart.append(group)
            continue
        label = f"{group.label}, as of {printable(group.runs[0].name)}"
        apart.append(replace(group, label=label))
        differing = ", ".join(_differing(what_ran(first.runs[0]), what_ran(group.runs[0])))
        notes.append(
            f"{label}: not a repeat of {group.label}, from which it differs in {differing}"
        )
    return apart, notes


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    keys = [key for key in one if one[key] != other[key] and key != "code"]
    code = one["code"].items() ^ other["code"].items()
    return keys + sorted({path for path, _ in code})


def _notes(group: Group) -> list[str]:
    first, *others = group.runs
    if all(_rules(run) == _rules(first) for run in others):
        return []
    return [
        f"{group.label}: its runs have different claims or verdict settings; judged by those of "
        f"{printable(first.name)}"
    ]


def _in_order(groups: Sequence[Group]) -> list[Group]:
    cards = list(dict.fromkeys(group.recipe.name for group in groups))

    def place(group: Group) -> tuple[int, bool, float]:
        accuracy = group.summary("evaluate.accuracy")
        deviates = any(d.key != "train.seed" for d in group.recipe.deviations)
        mean = accuracy.mean if accuracy else -1.0
        return cards.index(group.recipe.name), deviates, -mean

    return sorted(groups, key=place)
