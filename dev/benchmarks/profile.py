"""Where the time of our training steps goes, by groups of operators."""

from dev.benchmarks.context import Context, Section
from dev.benchmarks.runner import Task, interleaved
from dev.benchmarks.spread import spread
from dev.benchmarks.training import BATCH, MAX_LENGTH, training_data

STEPS = 4  # profiled, after one that warms up


def measure(context: Context) -> Section:
    """Shares of a training step's wall time, for ours in bf16."""
    steps = 1 if context.quick else STEPS
    batch, max_length = (2, 64) if context.quick else (BATCH, MAX_LENGTH)
    settings = training_data(context, "profile", (steps + 1) * batch, batch, max_length)
    task = Task(
        "products_work:profile_training", {"precision": "bf16", "settings": settings},
        context.folder,
    )  # fmt: skip
    outcomes = interleaved({"ours_bf16": task}, context.repeats, context.quick, context.note)
    found = [o.values["seconds"] for o in outcomes["ours_bf16"]]
    shares = {
        group: spread([seconds[group] / sum(seconds.values()) for seconds in found])
        for group in found[0]
    }
    seconds = spread([sum(each.values()) / steps for each in found])
    return Section(
        {"batch_size": batch, "max_length": max_length, "timed_steps": steps},
        {"ours_bf16": {"step_seconds": seconds, **shares}},
    )
