"""What the study runs: for each question its runs, each a card with overrides and a name."""

from dataclasses import dataclass

SEEDS = (1, 2, 3)
# The stand-in base in bf16: DistilBERT's weights were not at hand, and fp32 takes thrice the time.
_BASE = {"model.base": "minilm", "train.precision": "bf16"}


@dataclass(frozen=True)
class Planned:
    """A run of the study.

    Attributes:
        name: of its record, a folder below results/.
        settings: keys of params.yaml and their values.
        page: whether the record keeps the report page.
        base_from: the run whose model it starts from; None for a base of sources.yaml.
    """

    name: str
    settings: dict[str, str]
    page: bool = False
    base_from: str | None = None

    @property
    def overrides(self) -> list[str]:
        """The settings as arguments of `dvc exp run`."""
        return [part for key, value in self.settings.items() for part in ("-S", f"{key}={value}")]


def command_of(run: Planned) -> str:
    """The command that makes a run by hand."""
    return " ".join(["dvc exp run", *run.overrides])


def _recipes() -> list[Planned]:
    """The five cards at full size; the shortest first. All are scored on all test rows."""
    scored = {"llm_project": {"split.scored": "test"}, "template": {"split.scored_rows": "all"}}
    return [
        Planned(f"recipes/{card}", {"card": card} | _BASE | scored.get(card, {}), page=True)
        for card in ("grojeda", "llm_project", "deepaxion", "template", "hansaht")
    ]


# Other plausible values of what deepaxion leaves unspecified than its recipe takes.
READINGS: dict[str, dict[str, str]] = {
    "as assumed": {},
    "learning rate 5e-5": {"train.learning_rate": "5.0e-5"},
    "256 tokens": {"tokenize.max_length": "256"},
    "weight decay 0.01": {"train.weight_decay": "0.01"},
    "learning rate 1e-5": {"train.learning_rate": "1.0e-5"},
    "fp32": {"train.precision": "fp32"},
}
# Of a size of which two cores do a run in some minutes.
_FEW = {"data.limit": "600", "data.test_limit": "2000"}


def _unspecified() -> list[Planned]:
    return [
        Planned(
            f"unspecified/{reading.replace(' ', '-')}-seed-{seed}",
            {"card": "deepaxion"} | _BASE | _FEW | settings | {"train.seed": str(seed)},
        )
        for reading, settings in READINGS.items()
        for seed in SEEDS
    ]


# Likewise. The stand-in is a third of DistilBERT's size: at the card's 2e-5 it would hardly fit its
# rows in so few steps, and could not give away whether it has seen one. Test rows are scored beside
# the validation rows: they tell having seen the rows from having been trained for longer.
_SOME = {
    "data.limit": "1500",
    "data.test_limit": "1500",
    "train.learning_rate": "1.0e-4",
    "train.logging_steps": "25",
    "split.scored": "test",
}
TUNED = "leak/tuned-on-all"
HONEST, LEAKY = "leak/honest", "leak/after-tuning-on-all"


def _leak() -> list[Planned]:
    """llm_project's recipe from the base, and from a model that has seen all its rows."""
    card = {"card": "llm_project"} | _BASE | _SOME
    on_all = {"split.validation": "none", "train.load_best": "false"}
    tuned = Planned(TUNED, card | on_all)
    pairs = [
        run
        for seed in SEEDS
        for run in (
            Planned(f"{HONEST}-seed-{seed}", card | {"train.seed": str(seed)}),
            Planned(
                f"{LEAKY}-seed-{seed}",
                card | {"model.base": "tuned-on-all", "train.seed": str(seed)},
                base_from=TUNED,
            ),
        )
    ]
    return [tuned, *pairs]


# What may make a recipe better, each beside the plain one.
VARIANTS: dict[str, dict[str, str]] = {
    "plain": {},
    "head and tail": {"tokenize.truncation": "head_and_tail"},
    "mean of the last weights": {"train.average_last": "0.3"},
    "layer decay 0.9": {"train.layer_decay": "0.9"},
    "cosine": {"train.scheduler": "cosine"},
}
# Of these, what did nothing and went out of the code again; the records stay.
REMOVED = ("mean of the last weights", "layer decay 0.9")
# What became a card.
KEPT = {"head and tail": "both_ends"}
# More than elsewhere: that a change helps is to be shown at p < 0.01.
VARIANT_SEEDS = (1, 2, 3, 4, 5)
# At 128 tokens most reviews are cut, so that it shows which part of them is kept; at the cards' 384
# and 512, few are.
_SHORT = {
    "data.limit": "1000",
    "data.test_limit": "2000",
    "split.scored_rows": "all",
    "tokenize.max_length": "128",
    "train.learning_rate": "1.0e-4",
    "train.logging_steps": "25",
}


def _better() -> list[Planned]:
    """template's recipe, which keeps its last weights, with one thing changed."""
    return [
        Planned(
            f"better/{variant.replace(' ', '-')}-seed-{seed}",
            {"card": "template"} | _BASE | _SHORT | settings | {"train.seed": str(seed)},
        )
        for seed in VARIANT_SEEDS
        for variant, settings in VARIANTS.items()
    ]


PLAN = {
    "recipes": _recipes(),
    "leak": _leak(),
    "unspecified": _unspecified(),
    "better": _better(),
}
