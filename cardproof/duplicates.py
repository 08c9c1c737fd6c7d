"""When two reviews are the same text: to the character, markup and spaces included."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


def stands_in(texts: Sequence[str], others: Iterable[str]) -> NDArray[np.bool_]:
    """Whether each of `texts` is also one of `others`; shape (texts,)."""
    known = set(others)
    return np.array([text in known for text in texts], dtype=bool)


def repeats_earlier(texts: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each text stands earlier in the same list; shape (texts,)."""
    seen: set[str] = set()
    repeats = np.zeros(len(texts), dtype=bool)
    for i, text in enumerate(texts):
        repeats[i] = text in seen
        seen.add(text)
    return repeats
