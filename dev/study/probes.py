"""What varies, by linear probes on frozen embeddings: `python -m dev.study.probes`.

After `python -m dev.study.embed`. A probe is a logistic regression: its optimum is unique, so that
nothing but the draw of its training rows varies. Writes results/probes.json.
"""

import argparse
import json
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from cardproof.evaluation.metrics import right_rows, row_losses
from cardproof.evaluation.statistics import design_effect
from cardproof.files import write_text_atomic
from dev.study.embed import EMBEDDINGS
from dev.study.record import RESULTS, read_records

FILE = "probes.json"
SIZES = (600, 2_000, 6_000, 12_500, 22_500)
DRAWS, SEED = 100, 0
STRENGTH = 0.01  # of the inverse penalty: the best of 1, 0.1, 0.01 and 0.001 on held-out rows
LEAK, LEAK_SIZE = "leak/honest-seed-1", 12_500  # whose rows are scored by probes that saw none


class Embedded(NamedTuple):
    """Reviews as vectors."""

    vectors: NDArray[np.float32]  # shape (reviews, width)
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]  # their numbers in their file

    def at(self, places: NDArray[Any]) -> "Embedded":
        """Some of them."""
        return Embedded(*(column[places] for column in self))


def main() -> None:
    """Fit the probes and write what varied."""
    argparse.ArgumentParser(prog="python -m dev.study.probes", description=__doc__).parse_args()
    pool, test = _read("train", "validation"), _read("test")
    random = np.random.default_rng(SEED)
    sizes = {str(size): _components(pool, test, size, random) for size in SIZES}
    found: dict[str, Any] = {
        "draws": DRAWS,
        "pool": len(pool.rows),
        "test": len(test.rows),
        "sizes": sizes,
    }
    found["leak"] = _leak_rows(pool, test, random)
    write_text_atomic(RESULTS / FILE, json.dumps(found, indent=2) + "\n")


def _read(*sets: str) -> Embedded:
    """All parts of some sets, by their rows in their file."""
    parts = [folder for name in sets for folder in sorted(EMBEDDINGS.glob(f"{name}-*"))]
    if not parts:
        raise SystemExit(f"error: {EMBEDDINGS} is empty; run `python -m dev.study.embed` first")
    columns = (
        np.concatenate([np.load(part / f"{kind}.npy") for part in parts])
        for kind in ("vectors", "labels", "rows")
    )
    vectors, labels, rows = columns
    return Embedded(vectors.astype(np.float32), labels, rows).at(np.argsort(rows))


def _logits(train: Embedded, scored: Embedded) -> NDArray[np.float64]:
    """Of a probe that was fitted to some reviews, on others; shape (scored reviews, 2)."""
    scale = StandardScaler().fit(train.vectors)
    probe = LogisticRegression(C=STRENGTH, max_iter=300)
    probe.fit(scale.transform(train.vectors), train.labels)
    positive = probe.decision_function(scale.transform(scored.vectors))
    return np.stack([np.zeros_like(positive), positive], axis=1)


def _components(
    pool: Embedded, test: Embedded, size: int, random: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Of accuracy and loss: the mean, and what varies with which rows are drawn.

    `split` is the standard deviation over which `size` rows of the pool are trained on, `training`
    that over other rows than the pool's: draws without replacement vary less, by the root of
    1 - size / pool (Cochran 1977, Sampling Techniques, section 2.6). `row` is that of one test
    row, `film` the factor on a mean's variance by rows of one film.
    """
    marks, losses = [], []
    for _ in tqdm(range(DRAWS), desc=f"{size} rows", unit=" probes"):
        logits = _logits(pool.at(random.choice(len(pool.rows), size, replace=False)), test)
        marks.append(right_rows(test.labels, logits).astype(float))
        losses.append(row_losses(test.labels, logits))
    found = {}
    for name, values in (("accuracy", np.array(marks)), ("loss", np.array(losses))):
        split = float(values.mean(axis=1).std(ddof=1))
        found[name] = {
            "mean": float(values.mean()),
            "split": split,
            "training": split / float(np.sqrt(1 - size / len(pool.rows))),
            "row": float(np.sqrt(values.var(axis=1).mean())),
            "film": float(
                np.mean([design_effect(of_one, test.rows, test.labels) for of_one in values])
            ),
        }
    return found


def _leak_rows(
    pool: Embedded, test: Embedded, random: np.random.Generator
) -> dict[str, float | int]:
    """Accuracy on the leak's own validation and test rows of probes that saw none of them."""
    sets = read_records(RESULTS)[LEAK].predictions
    held_out = np.isin(pool.rows, sets["validation"].rows)
    others, validation = np.flatnonzero(~held_out), pool.at(held_out)
    unseen = test.at(np.isin(test.rows, sets["test"].rows))
    pairs = (np.concatenate([a, b]) for a, b in zip(validation, unseen, strict=True))
    vectors, labels, rows = pairs
    scored = Embedded(vectors, labels, rows)
    marks = [
        right_rows(scored.labels, _logits(pool.at(drawn), scored))
        for drawn in (random.choice(others, LEAK_SIZE, replace=False) for _ in range(DRAWS))
    ]
    shares, first = np.mean(marks, axis=0), len(validation.rows)
    return {
        "size": LEAK_SIZE,
        "validation": float(shares[:first].mean()),
        "test": float(shares[first:].mean()),
    }


if __name__ == "__main__":
    main()
