"""What the study runs: for each question its runs, each a card with overrides and a name."""

from dataclasses import dataclass

SEEDS = (1, 2, 3)
# The stand-in base in bf16: DistilBERT's weights were not at hand, and fp32 takes thrice the time.
_BASE = {"model.base": "minilm", "train.precision": "bf16"}
# What three seeds a setting afford on two cores.
_SMALL = _BASE | {"data.limit": "1000", "data.test_limit": "4000"}


@dataclass(frozen=True)
class Planned:
    """A run of the study.

    Attributes:
        name: of its record, a folder below results/.
        settings: keys of params.yaml and their values.
        page: whether the record keeps the report page.
    """

    name: str
    settings: dict[str, str]
    page: bool = False

    @property
    def overrides(self) -> list[str]:
        """The settings as arguments of `dvc exp run`."""
        return [part for key, value in self.settings.items() for part in ("-S", f"{key}={value}")]


CARDS = ("grojeda", "llm_project", "deepaxion", "template", "hansaht")

# For each silence other plausible readings than the card's block in params.yaml takes.
READINGS = {
    "as-assumed": {},
    "learning-rate-1e-5": {"train.learning_rate": "1e-5"},
    "learning-rate-5e-5": {"train.learning_rate": "5e-5"},
    "max-length-256": {"tokenize.max_length": "256"},
    "weight-decay-0.01": {"train.weight_decay": "0.01"},
    "fp32": {"train.precision": "fp32"},
}

PLAN = {
    "recipes": [Planned(f"recipes/{card}", {"card": card} | _BASE, page=True) for card in CARDS],
    "silences": [
        Planned(
            f"silences/{reading}-seed-{seed}",
            {"card": "deepaxion"} | _SMALL | settings | {"train.seed": str(seed)},
        )
        for reading, settings in READINGS.items()
        for seed in SEEDS
    ],
}
