"""Figures of results/README.md again, from the records, by other means than the study's own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import t
from sklearn.metrics import accuracy_score, f1_score, log_loss

from tests.conftest import ROOT

RESULTS = ROOT / "results"


@pytest.fixture(scope="module")
def page() -> str:
    return " ".join((RESULTS / "README.md").read_text().split())


def logits_of(name: str, rows: str = "test") -> tuple[Any, Any]:
    """Labels and logits of a record's set."""
    path = RESULTS / name / f"data/predictions/{rows}.parquet"
    table = pq.ParquetFile(Path(path)).read()
    logits = np.stack([table["logit_negative"], table["logit_positive"]], axis=1).astype(float)
    return np.array(table["label"]), logits


def accuracy(name: str, rows: str = "test") -> float:
    labels, logits = logits_of(name, rows)
    return float(accuracy_score(labels, logits[:, 1] > logits[:, 0]))


def probabilities(name: str) -> tuple[Any, Any]:
    labels, logits = logits_of(name)
    return labels, 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))


def crossed(names: list[str], seeds: int) -> Any:
    """Accuracies; shape (changes, seeds)."""
    return np.array([[accuracy(f"{n}-seed-{s}") for s in range(1, seeds + 1)] for n in names])


def test_full_size_runs(page: str) -> None:
    for card in ("grojeda", "llm_project"):
        labels, positive = probabilities(f"recipes/{card}")
        assert f"| {accuracy(f'recipes/{card}'):.4f} |" in page
        assert f"| {log_loss(labels, positive):.4f} |" in page
        assert f"| {f1_score(labels, positive > 0.5):.4f} |" in page
    difference = accuracy("recipes/llm_project") - accuracy("recipes/grojeda")
    assert f"| {100 * difference:+.2f} |" in page
    repeats = [f"repeats/{folder.name}" for folder in RESULTS.glob("repeats/*")]
    runs = [accuracy(name) for name in ("recipes/grojeda", *repeats)]
    assert f"accuracy {np.mean(runs):.4f} ± {np.std(runs, ddof=1):.4f}" in page


def test_the_leak(page: str) -> None:
    gaps = {}
    for start in ("honest", "after-tuning-on-others", "after-tuning-on-these"):
        names = [f"leak/{start}-seed-{seed}" for seed in (1, 2, 3)]
        held_out, test = ([accuracy(n, rows) for n in names] for rows in ("validation", "test"))
        assert f"| {np.mean(held_out):.4f} ± {np.std(held_out, ddof=1):.4f} |" in page
        gaps[start] = np.subtract(held_out, test)
        assert f"| {100 * gaps[start].mean():+.2f} |" in page
    excess = gaps["after-tuning-on-these"] - gaps["after-tuning-on-others"]
    assert f"a model gains {100 * excess.mean():+.2f} points" in page


def test_small_test_sets(page: str) -> None:
    labels, logits = logits_of("recipes/grojeda")
    right = (logits[:, 1] > logits[:, 0]) == labels
    shares = np.array([right[labels == one].mean() for one in (0, 1)])
    # Of 50 rows of a label without replacement out of 12,500: hypergeometric.
    exact = np.sqrt((shares * (1 - shares) / 50 * (12_450 / 12_499)).sum()) / 2
    row = next(line for line in (RESULTS / "README.md").read_text().splitlines()
               if line.startswith("| accuracy | "))  # fmt: skip
    assert float(row.split(" | ")[3]) == pytest.approx(exact, rel=0.02)  # of 10,000 draws


def test_a_better_recipe(page: str) -> None:
    plain, both_ends = crossed(["better/plain", "better/head-and-tail"], 5)
    assert f"| {100 * (both_ends - plain).mean():+.2f} |" in page


@pytest.mark.parametrize(
    ("question", "compared"),
    [
        (
            "truncation",
            [
                ("both-ends-at-128", "start-at-128"),
                ("both-ends-at-512", "start-at-512"),
                ("both-ends-at-128", "start-at-512"),
            ],
        ),
        (
            "unspecified",
            [
                ("learning-rate-2.5-times", "as-assumed"),
                ("learning-rate-halved", "as-assumed"),
                ("twice-the-epochs", "as-assumed"),
            ],
        ),
    ],
)
def test_changes_by_draws(page: str, question: str, compared: list[tuple[str, str]]) -> None:
    """Draws that all changes have; the interval of a mean of differences, by Student's t."""
    arms = {arm for pair in compared for arm in pair}
    seeds = [s for s in range(1, 6)
             if all((RESULTS / f"{question}/{arm}-seed-{s}").is_dir() for arm in arms)]  # fmt: skip
    found = {a: np.array([accuracy(f"{question}/{a}-seed-{s}") for s in seeds]) for a in arms}
    for a, b in compared:
        differences = 100 * (found[a] - found[b])
        half = t.isf(0.025, len(seeds) - 1) * differences.std(ddof=1) / len(seeds) ** 0.5
        low, high = differences.mean() - half, differences.mean() + half
        assert f"| {differences.mean():+.2f} | {low:+.2f} to {high:+.2f} |" in page


def test_what_varies(page: str) -> None:
    probes = RESULTS / "probes.json"
    for size, found in json.loads(probes.read_text())["sizes"].items():
        of = found["accuracy"]
        binomial = 100 * np.sqrt(of["mean"] * (1 - of["mean"]) / 25_000)
        assert 100 * of["row"] / 25_000**0.5 == pytest.approx(binomial, rel=0.01)
        assert f"| {int(size):,} | {of['mean']:.4f} |" in page
