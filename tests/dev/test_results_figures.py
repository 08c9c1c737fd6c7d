"""Figures of results/README.md again, from the records, by other means than the study's own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import chi2, t
from sklearn.metrics import accuracy_score, log_loss

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
    names = ["recipes/grojeda", *(f"repeats/{f.name}" for f in sorted(RESULTS.glob("repeats/*")))]
    for name in (*names, "recipes/llm_project", "leak-full/tuned-on-all"):
        labels, positive = probabilities(name)
        row = page[page.index(f"| [{name}]({name}) |") :].partition("| [")[2]
        assert f"| {accuracy(name):.4f} (" in row
        assert f") | {log_loss(labels, positive):.4f} |" in row
    runs = [accuracy(name) for name in names]
    mean, sd, n = np.mean(runs), np.std(runs, ddof=1), len(runs)
    assert f"{n} runs, accuracy {mean:.4f} ± {sd:.4f}" in page
    difference = 100 * (accuracy("recipes/llm_project") - mean)
    half = 100 * t.isf(0.025, n - 1) * sd * (1 + 1 / n) ** 0.5
    said = f"is {difference:.2f} points above their mean ({difference - half:+.2f} to "
    assert f"{said}{difference + half:+.2f} with 95 % confidence" in page
    low, high = (100 * sd * (2 / chi2.isf(tail, 2)) ** 0.5 for tail in (0.025, 0.975))
    assert n == 3
    assert f"anywhere between {low:.2f} and {high:.2f} points" in page


def test_the_leak(page: str) -> None:
    gaps = {}
    for start in ("honest", "twice-the-epochs", "after-tuning-on-others", "after-tuning-on-these"):
        names = [f"leak/{start}-seed-{seed}" for seed in (1, 2, 3)]
        held_out, test = ([accuracy(n, rows) for n in names] for rows in ("validation", "test"))
        assert f"| {np.mean(held_out):.4f} ± {np.std(held_out, ddof=1):.4f} |" in page
        gaps[start] = np.subtract(held_out, test)
        beyond = 100 * (gaps[start] - gaps["honest"]).mean()
        assert start == "honest" or f"| {beyond:+.2f} |" in page
    assert f"The base itself has {100 * gaps['honest'].mean():+.2f} points more" in page
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
    plain, changed = crossed(["better/plain", "better/head-and-tail"], 5)
    assert f"| {100 * (changed - plain).mean():+.2f} |" in page


@pytest.mark.parametrize(
    ("question", "compared"),
    [
        (
            "truncation",
            [
                ("head-and-tail-at-128", "head-at-128"),
                ("head-and-tail-at-512", "head-at-512"),
                ("head-and-tail-at-128", "head-at-512"),
            ],
        ),
        (
            "unspecified",
            [
                ("learning-rate-2.5-times", "as-assumed"),
                ("learning-rate-halved", "as-assumed"),
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


def test_what_moves_a_figure(page: str) -> None:
    sizes = json.loads((RESULTS / "probes.json").read_text())["sizes"]
    for size, found in sizes.items():
        splits = f"{100 * found['accuracy']['split']:.2f} | {1000 * found['loss']['split']:.2f}"
        assert (
            f"which {int(size):,} of 25,000 reviews are trained on | linear probes | {splits}"
            in page
        )
    p = accuracy("recipes/grojeda")
    labels, positive = probabilities("recipes/grojeda")
    losses = -np.log(np.where(labels == 1, positive, 1 - positive))
    binomial, of_loss = 100 * (p * (1 - p) / 25_000) ** 0.5, 1000 * losses.std() / 25_000**0.5
    assert f"drawn one by one | recipes/grojeda | {binomial:.2f} | {of_loss:.2f} |" in page
