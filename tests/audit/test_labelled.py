"""The judged findings of real cards: how right the audit is, and that it still says so."""

import pytest

from cardproof.audit import audit_bytes
from dev.audit.cards import COLLECTION, stream
from dev.audit.labelled import by_kind, precision, read_labels
from dev.audit.page import render_page
from dev.audit.survey import survey
from tests.conftest import ROOT

LABELS = read_labels(ROOT / "tests/audit/labelled.csv")
REAL = ROOT / COLLECTION


def test_precision_of_the_judged_findings() -> None:
    right, judged = precision(LABELS, "after", "error")
    assert right >= 0.95 * judged > 0
    right, judged = precision(LABELS, "after", "warning")
    assert right >= 0.9 * judged > 0
    assert {one.judgement for one in LABELS} == {"right", "wrong"}
    assert sum(count for _, count in by_kind(LABELS, "before").values()) == 231


@pytest.mark.skipif(not REAL.is_file(), reason="the collection of cards is not here (../shared)")
def test_the_judged_cards_have_the_judged_findings() -> None:
    judged = {(one.card, one.code, one.severity) for one in LABELS if one.audit == "after"}
    cards = {one.card for one in LABELS}
    found = {
        (name, one.code, one.severity)
        for name, data in stream(REAL)
        if name in cards
        for one in audit_bytes(data).findings
        if one.severity != "note"
    }
    assert found == judged


def test_the_page_has_counts_and_no_names() -> None:
    texts = {
        "a_card": b"- generated_from_trainer\n- train_batch_size: 12\n"
        b"- total_train_batch_size: 64\n",
        "another": b"A model.",
    }
    counted = survey((name, audit_bytes(data), 0.001) for name, data in texts.items())
    assert counted["verdicts"] == {"contradicts itself": 1, "nothing compared": 1}
    assert counted["kinds"] == {"error total-batch": 1}
    page = render_page(counted, {}, LABELS)
    assert "| contradicts itself | 1 | 50.0% |" in page
    assert "a_card" not in page
    committed = (ROOT / "results/audit/README.md").read_text(encoding="utf-8")
    assert not [one.card for one in LABELS if one.card in committed]
