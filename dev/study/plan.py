"""What the study runs: for each question its runs, each a card with overrides and a name."""

from dataclasses import dataclass, replace

Settings = dict[str, str]  # keys of params.yaml and their values

# deepaxion leaves its learning rate unspecified. Published cards have 2e-5, half and 2.5 times as
# much: so the stand-in, of its own.
CHOICES: dict[str, Settings] = {
    "as assumed": {},
    "learning rate 2.5 times": {"train.learning_rate": "2.5e-4"},
    "learning rate halved": {"train.learning_rate": "5.0e-5"},
}
# What may make a recipe better, each beside the plain one.
VARIANTS: dict[str, Settings] = {
    "plain": {},
    "head and tail": {"tokenize.truncation": "head_and_tail"},
    "mean of the last weights": {"train.average_last": "0.3"},
    "layer decay 0.9": {"train.layer_decay": "0.9"},
    "cosine": {"train.scheduler": "cosine"},
}
# Which part of a long review is kept, at a short length and at the cards' own.
TRUNCATIONS: dict[str, Settings] = {
    f"{part} at {length}": {"tokenize.max_length": length} | VARIANTS[variant]
    for length in ("128", "512")
    for part, variant in (("head", "plain"), ("head and tail", "head and tail"))
}
# Of these, what did nothing and went out of the code again; the records stay.
REMOVED = ("mean of the last weights", "layer decay 0.9")

SEEDS = (1, 2, 3)
VARIANT_SEEDS = (1, 2, 3, 4, 5)
CHOICE_DRAWS = (1, 2, 3, 4)

# The stand-in base in bf16: DistilBERT's weights were not at hand, and fp32 takes thrice the time.
_BASE = {"model.base": "minilm", "train.precision": "bf16"}
# The stand-in is a third of DistilBERT's size: at a card's 2e-5 it would hardly fit few rows in few
# steps, and could not give away whether it has seen one.
_FAST = {"train.learning_rate": "1.0e-4", "train.logging_steps": "25"}
# Sizes of which two cores do a run in some minutes. At 128 tokens most reviews are truncated, so
# that it shows which part of them is kept; at the cards' 384 and 512, few are.
_FEW = {"data.limit": "600", "data.test_limit": "1000"} | _FAST | {"train.precision": "fp32"}
_SHORT = {"data.limit": "1000", "data.test_limit": "2000", "split.scored_rows": "all",
          "tokenize.max_length": "128"} | _FAST  # fmt: skip
# What a model is tuned with before: all rows, those included that are held out afterwards.
ON_ALL = {"split.validation": "none", "train.load_best": "false"}
OTHER_ROWS = {"split.seed": "7"}  # another draw: of 1,500 out of 25,000 rows some 90 are in both
# Test rows are scored beside the validation rows: they tell having seen the rows from having been
# trained for longer.
_HELD_OUT = {"data.limit": "1500", "data.test_limit": "1500"} | _FAST | {"split.scored": "test"}


@dataclass(frozen=True)
class Planned:
    """A run of the study."""

    question: str
    change: str  # what is particular to it, beside the seed
    settings: Settings
    base_from: str | None = None  # the run whose model it starts from; None: a base of sources.yaml

    @property
    def name(self) -> str:
        """Of its record, a folder below results/."""
        seed = self.settings.get("train.seed")
        name = f"{self.question}/{self.change.replace(' ', '-')}"
        return f"{name}-seed-{seed}" if seed else name

    @property
    def command(self) -> str:
        """What makes the run by hand."""
        return " ".join(["dvc exp run", *options_of(self.settings)])


def options_of(settings: Settings) -> list[str]:
    """Settings as arguments of `dvc exp run`."""
    return [part for key, value in settings.items() for part in ("-S", f"{key}={value}")]


def _recipes() -> list[Planned]:
    """The five cards at full size; the shortest first. All are scored on all test rows."""
    scored = {"llm_project": {"split.scored": "test"}, "template": {"split.scored_rows": "all"}}
    return [
        Planned("recipes", card, {"card": card} | _BASE | scored.get(card, {}))
        for card in ("grojeda", "llm_project", "deepaxion", "template", "hansaht")
    ]


def _repeats() -> list[Planned]:
    """grojeda's recipe at full size again, with other seeds and splits."""
    settings = {"card": "grojeda"} | _BASE
    return [
        Planned("repeats", "grojeda", settings | {"split.seed": seed, "train.seed": seed})
        for seed in ("1", "2")
    ]


def _leak() -> list[Planned]:
    """llm_project's recipe from the base, and from models tuned on its rows and on others.

    Each seed has tuned models of its own. The other rows tell what tuning does of itself; twice
    the epochs, what training for longer does.
    """
    card = {"card": "llm_project"} | _BASE | _HELD_OUT
    runs = []
    for seed in map(str, SEEDS):
        seeded = card | {"train.seed": seed}
        runs.append(Planned("leak", "honest", seeded))
        runs.append(Planned("leak", "twice the epochs", seeded | {"train.epochs": "6"}))
        for rows, split in (("these", {}), ("others", OTHER_ROWS)):
            tuned = Planned("leak", f"tuned on {rows}", seeded | split | ON_ALL)
            after = seeded | {"model.base": f"tuned-on-{rows}"}
            runs += [tuned, Planned("leak", f"after tuning on {rows}", after, tuned.name)]
    return runs


def _leak_at_full_size() -> list[Planned]:
    """The leak once on all rows, at the card's own learning rate."""
    card = {"card": "llm_project"} | _BASE | {"split.scored": "test"}
    tuned = Planned("leak-full", "tuned on all", card | ON_ALL)
    after = card | {"model.base": "tuned-on-all"}
    return [tuned, Planned("leak-full", "after tuning on all", after, tuned.name)]


def _changes(
    question: str, card: str, size: Settings, changes: dict[str, Settings], seeds: tuple[int, ...]
) -> list[Planned]:
    """A card's recipe with one thing changed, each change with each seed."""
    fixed = {"card": card} | _BASE | size
    return [
        Planned(question, change, fixed | settings | {"train.seed": str(seed)})
        for seed in seeds
        for change, settings in changes.items()
    ]


def _drawn(planned: list[Planned]) -> list[Planned]:
    """The same runs, but each seed also draws its own rows, to train on and to test on."""
    return [
        replace(run, settings=run.settings | {"split.seed": run.settings["train.seed"]})
        for run in planned
    ]


PLAN = {
    "recipes": _recipes(),
    "repeats": _repeats(),
    "leak": _leak(),
    "leak-full": _leak_at_full_size(),
    "unspecified": _drawn(_changes("unspecified", "deepaxion", _FEW, CHOICES, CHOICE_DRAWS)),
    "better": _changes("better", "template", _SHORT, VARIANTS, VARIANT_SEEDS),
    "truncation": _drawn(_changes("truncation", "template", _SHORT, TRUNCATIONS, VARIANT_SEEDS)),
}
