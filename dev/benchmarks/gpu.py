"""Training on a GPU, where there is one. Written where there was none: untested."""

import math
from typing import Any

from dev.benchmarks.context import Context, Section, Variants
from dev.benchmarks.inputs import ROOT
from dev.benchmarks.runner import Task, interleaved, run_each
from dev.benchmarks.spread import spread
from dev.benchmarks.training import training_data

STEPS = 60  # timed, after one that warms up
REVIEWS = 25_000  # of train, all of them
CARDS = ("grojeda", "deepaxion", "template", "llm_project", "hansaht")


def measure(context: Context) -> Section:
    """Seconds of an epoch of grojeda's recipe, and of all five recipes out of some steps each."""
    here = run_each([Task("gpu_work:describe_gpu", {}, context.folder)], shared=True)[0].values
    if not here["name"]:
        context.note("no GPU is there")
        return Section({"gpu": "none"}, {})
    recipes = {name: card_facts(name) for name in CARDS}
    tasks = {
        "trainer_fp32": _task(context, "trainer", "fp32", recipes["grojeda"]),
        "ours_bf16": _task(context, "ours", "bf16", recipes["grojeda"]),
        **{name: _task(context, "ours", "bf16", facts) for name, facts in recipes.items()},
    }
    outcomes = interleaved(tasks, context.repeats, context.quick, context.note)
    variants: Variants = {}
    for name, found in outcomes.items():
        steps = recipes.get(name, {}).get("steps", recipes["grojeda"]["steps_per_epoch"])
        per_step = [math.fsum(o.values["seconds"]) / len(o.values["seconds"]) for o in found]
        what = "recipe_seconds" if name in recipes else "epoch_seconds"
        variants[name] = {
            what: spread([steps * s for s in per_step]),
            "gpu_mib": spread([o.values["gpu_mib"] for o in found]),
        }
    return Section({"gpu": here["name"], "timed_steps": STEPS}, variants)


def card_facts(name: str) -> dict[str, int]:
    """Batch size, maximum length, and optimizer steps of a card, an epoch and in all."""
    from ruamel.yaml import YAML

    card = YAML(typ="safe").load(ROOT / "params.yaml")["cards"][name]
    held_out = card["split"]["test_size"] if card["split"]["validation"] == "holdout" else 0
    rows = REVIEWS - round(REVIEWS * (held_out or 0))
    steps = math.ceil(rows / card["train"]["batch_size"])
    return {
        "batch_size": card["train"]["batch_size"],
        "max_length": card["tokenize"]["max_length"],
        "steps_per_epoch": steps,
        "steps": math.ceil(steps * card["train"]["epochs"]),
    }


def _task(context: Context, variant: str, precision: str, facts: dict[str, int]) -> Task:
    batch, longest = facts["batch_size"], facts["max_length"]
    name = f"gpu-{batch}-{longest}"
    settings: dict[str, Any] = (
        training_data(context, name, (STEPS + 1) * batch, batch, longest)
        if not (context.folder / name).exists()
        else {
            "store": str(context.folder / name),
            "word_pieces": str(context.inputs.word_pieces),
            "batch_size": batch,
            "max_length": longest,
            "sizes": context.sizes,
        }
    )
    arguments = {"variant": variant, "precision": precision, "settings": settings}
    return Task("training_work:time_training", arguments, context.folder)
