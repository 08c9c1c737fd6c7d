"""Text that people read: words in a sentence, and names and passages that other people wrote."""

from collections.abc import Iterable


def listed(words: Iterable[str], last: str = "and") -> str:
    """Words in a sentence: "a, b and c"."""
    *before, final = words
    return f"{', '.join(before)} {last} {final}" if before else final


def capitalised(text: str) -> str:
    """The text with its first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]


def printable(text: object) -> str:
    """Text on one line without control characters: terminals obey those of a stranger's card."""
    return "".join(character if character.isprintable() else " " for character in str(text))
