"""The study: what is computed from records, and that the pages say what the records hold."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from study.small_sets import draw_scores, spreads
from tests.conftest import ROOT, Run


def test_drawn_scores_are_those_of_rows_really_drawn() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 2_000)
    logits = random.normal(size=(4_000, 2)) + np.eye(2)[labels] * [1.2, 2.0]
    predicted = logits.argmax(axis=1)
    drawn = draw_scores(labels, logits, rows=100, draws=20_000, seed=1)
    plain = []
    for _ in range(2_000):
        rows = np.concatenate(
            [random.choice(np.flatnonzero(labels == c), 50, replace=False) for c in (0, 1)]
        )
        told, said = labels[rows], predicted[rows]
        scores = (f1_score(told, said), precision_score(told, said), recall_score(told, said))
        plain.append(((told == said).mean(), *scores))
    for i, name in enumerate(("accuracy", "f1", "precision", "recall")):
        column = np.array(plain)[:, i]
        error = column.std() / np.sqrt(len(column))
        assert drawn[name].mean() == pytest.approx(column.mean(), abs=4 * error), name
        assert drawn[name].std() == pytest.approx(column.std(), rel=0.08), name
    found = spreads(labels, logits, drawn)
    assert found["accuracy"].whole == (labels == predicted).mean()
    assert found["f1"].whole == pytest.approx(f1_score(labels, predicted))
    assert found["accuracy"].low < found["accuracy"].whole < found["accuracy"].high


def test_the_pages_of_results_say_what_the_records_hold(run: Run) -> None:
    done = run("python", "-m", "study", "--check", cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
