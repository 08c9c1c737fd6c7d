"""What one reader of a card contributes to its draft, and how the contributions add up."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reasoned:
    """A value that the card does not state in so many words, and why it is taken."""

    value: Any
    reason: str


@dataclass(frozen=True)
class Part:
    """What one reader found, by the keys of a card's file (`train.seed`).

    Attributes:
        stated: values that the card states.
        inferred: values that follow from the card's own figures.
        assumed: values that the card leaves open, where the default fits it less well.
        unplaced: what it says and no key takes, each with what to do about it.
    """

    stated: Mapping[str, Any] = field(default_factory=dict)
    inferred: Mapping[str, Reasoned] = field(default_factory=dict)
    assumed: Mapping[str, Reasoned] = field(default_factory=dict)
    unplaced: tuple[str, ...] = ()

    def all_keys(self) -> list[str]:
        """Every key that has a value."""
        return list(dict.fromkeys([*self.stated, *self.inferred, *self.assumed]))

    def value(self, key: str) -> Any:
        """The value of a key, however it was come by; None without one."""
        reasoned = self.inferred.get(key) or self.assumed.get(key)
        return self.stated.get(key, reasoned.value if reasoned else None)

    def without(self, keys: Collection[str], notes: Iterable[str]) -> "Part":
        """The same without some keys, and with notes on them."""
        return Part(
            {key: one for key, one in self.stated.items() if key not in keys},
            {key: one for key, one in self.inferred.items() if key not in keys},
            {key: one for key, one in self.assumed.items() if key not in keys},
            (*self.unplaced, *notes),
        )


def combine(parts: Iterable[Part]) -> Part:
    """All parts in one: an earlier part goes before a later one, and an assumption last."""
    stated: dict[str, Any] = {}
    inferred: dict[str, Reasoned] = {}
    assumed: dict[str, Reasoned] = {}
    unplaced: list[str] = []
    for part in parts:
        stated |= {key: one for key, one in part.stated.items() if key not in stated | inferred}
        inferred |= {key: one for key, one in part.inferred.items() if key not in stated | inferred}
        assumed = {**part.assumed, **assumed}
        unplaced += part.unplaced
    assumed = {key: one for key, one in assumed.items() if key not in stated | inferred}
    return Part(stated, inferred, assumed, tuple(dict.fromkeys(unplaced)))
