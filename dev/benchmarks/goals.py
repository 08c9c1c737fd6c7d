"""What was to be reached, and whether it was."""

from dataclasses import dataclass

from dev.benchmarks.record import Results, figure_of, middle
from dev.benchmarks.spread import Spread
from dev.benchmarks.stages import NEED_TORCH

GIB = 1024.0  # MiB


@dataclass(frozen=True)
class Goal:
    """A goal.

    Attributes:
        what: in words.
        limit: the least that is enough, or the most that is allowed.
        at_most: which of the two.
        where: section, variant and name of the figure.
        unit: of the figure.
    """

    what: str
    limit: float
    at_most: bool
    where: tuple[str, str, str]
    unit: str = ""


@dataclass(frozen=True)
class Judged:
    """A goal and what was measured, None where nothing was."""

    goal: Goal
    measured: Spread | float | None

    @property
    def met(self) -> bool | None:
        """Whether the median meets the limit."""
        if self.measured is None:
            return None
        value = middle(self.measured)
        return value <= self.goal.limit if self.goal.at_most else value >= self.goal.limit

    @property
    def verdict(self) -> str:
        """Met, or missed by how much of the limit."""
        if self.measured is None:
            return "not measured"
        if self.met:
            return "met"
        gap = abs(middle(self.measured) - self.goal.limit)
        return f"missed by {gap / self.goal.limit:.0%}" if self.goal.limit else f"missed by {gap:g}"


GROWTH = tuple(
    Goal(f"time of {words} grows as reviews to the power of", 1.05, True,
         ("growth", step, "exponent"))
    for step, words in (("split", "split"), ("tokenize", "tokenize"),
                        ("data_path", "an epoch's data path"), ("evaluate", "evaluate"))
)  # fmt: skip
GOALS = (
    Goal("training, ours in bf16 over Trainer as a user would write it", 5.5, False,
         ("training", "ours_bf16", "over_trainer_fp32"), "times"),
    Goal("training, ours in bf16 over the same in bf16", 2.8, False,
         ("training", "ours_bf16", "over_trainer_bf16"), "times"),
    Goal("model FLOP/s in training over bare bf16 products", 0.70, False,
         ("training", "ours_bf16", "model_share_of_products")),
    Goal("inference, ours in bf16 over the snippets' pipeline", 6.0, False,
         ("inference", "ours_bf16", "over_pipeline"), "times"),
    *GROWTH,
    Goal("`dvc repro` of the sample", 45.0, True, ("stages", "dvc repro", "seconds"), "s"),
    Goal("`dvc repro` of nothing", 1.6, True, ("stages", "dvc repro of nothing", "seconds"), "s"),
)  # fmt: skip


def judge(results: Results) -> list[Judged]:
    """Every goal with its measurement."""
    judged = [Judged(goal, figure_of(results, *goal.where)) for goal in GOALS]
    return [*judged, *(_memory(results, step) for step in ("split", "tokenize", "data_path")),
            _torch(results)]  # fmt: skip


def _memory(results: Results, step: str) -> Judged:
    """Peak memory of a step on a million reviews: measured, or else by the line through others."""
    measured = figure_of(results, "growth", step, "large_peak_anonymous_mib")
    how = "measured" if measured is not None else "extrapolated"
    if measured is None:
        measured = figure_of(results, "growth", step, "mib_a_million")
    words = step.replace("data_path", "an epoch's data path")
    goal = Goal(f"memory of {words} on a million reviews ({how})", 2 * GIB, True,
                ("growth", step, ""), "MiB")  # fmt: skip
    return Judged(goal, measured)


def _torch(results: Results) -> Judged:
    """How many stages load torch and do not need it."""
    stages = results.get("stages", {}).get("variants", {})
    loads = [n for n, v in stages.items() if v.get("loads_torch") and n not in NEED_TORCH]
    goal = Goal("stages that load torch and do not need it", 0, True, ("stages", "", ""))
    return Judged(goal, float(len(loads)) if stages else None)
