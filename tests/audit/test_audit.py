"""The audit of model cards: each finding and its absence, real cards, and hostile documents."""

import io
import json
import random
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cardproof.audit import Audit, Finding, audit_bytes, audit_text
from cardproof.audit.check_losses import highest_calibrated_loss, lowest_loss
from cardproof.audit.check_scores import scored_rows
from cardproof.audit.claims import blank_out, code_fences
from cardproof.audit.facts import CardFacts, TrainingRow
from cardproof.audit.numbers import exactly, read_number
from cardproof.audit.reading import LARGEST, read_card
from cardproof.audit.rendering import as_markdown
from cardproof.audit.vocabulary import average_in, metric_named, read_name, split_in
from cardproof.cli.audit import main

SHARED = Path(__file__).parents[3] / "shared"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the five documents are not part of this repository (../shared)"
)

CLEAN = """\
---
license: mit
base_model: distilbert-base-uncased
datasets:
- imdb
tags:
- generated_from_trainer
pipeline_tag: text-classification
model-index:
- name: clean
  results:
  - task:
      type: text-classification
    dataset:
      name: imdb
      type: imdb
      split: test
    metrics:
    - type: accuracy
      value: 0.92956
---
# clean

It achieves the following results on the evaluation set:
- Loss: 0.2012
- Accuracy: 0.9296

- learning_rate: 2e-05
- train_batch_size: 16
- seed: 42
- num_epochs: 2

| Training Loss | Epoch | Step | Validation Loss | Accuracy |
|:-------------:|:-----:|:----:|:---------------:|:--------:|
| 0.2244        | 1.0   | 1563 | 0.2044          | 0.922    |
| 0.1461        | 2.0   | 3126 | 0.2012          | 0.9296   |
"""


def card(*changes: tuple[str, str]) -> str:
    """The clean card with some of its text replaced."""
    text = CLEAN
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def codes(text: str) -> dict[str, Finding]:
    """The findings of a card by code, completeness included."""
    return {one.code: one for one in audit_text(text, completeness=True).findings}


def test_a_clean_card_has_no_warning() -> None:
    found = audit_text(CLEAN).findings
    assert {finding.severity for finding in found} == {"note"}
    assert {finding.code for finding in found} == {
        "training-rows", "accuracy-in-context", "first-epoch-in-context",
    }  # fmt: skip


def test_findings_are_ordered_and_show_their_arithmetic() -> None:
    text = card(("license: mit\n", ""), ("Loss: 0.2012", "Loss: 0.0002"))
    found = audit_text(text, completeness=True).findings
    assert [one.severity for one in found] == sorted(
        (one.severity for one in found), key=["error", "warning", "note"].index
    )
    assert all(one.text.endswith(".") and one.arithmetic for one in found)


# ------------------------------------------------------------------ rows, steps and epochs


def test_training_rows_from_steps_and_batch() -> None:
    found = codes(CLEAN)["training-rows"]
    assert "24,993 to 25,008" in found.text
    assert "25,000 (the whole train split)" in found.text
    assert "(1,563 - 1) x 16 + 1 = 24,993" in found.arithmetic


def test_training_rows_with_accumulation_allow_for_dropped_batches() -> None:
    text = card(("train_batch_size: 16", "train_batch_size: 4\n- gradient_accumulation_steps: 4"))
    assert "24,993 to 25,020 rows" in codes(text)["training-rows"].text  # + (4 - 1) x 4


def test_stated_total_batch_counts_and_must_be_the_product() -> None:
    text = card(
        (
            "train_batch_size: 16",
            "train_batch_size: 4\n- num_devices: 2\n- total_train_batch_size: 16",
        )
    )
    assert "total-batch" not in codes(text), "twice as many replicas that it does not state"
    assert "24,993 to 25,008" in codes(text)["training-rows"].text
    found = codes(text.replace("num_devices: 2", "num_devices: 3"))["total-batch"]
    assert found.severity == "warning"
    assert "4 rows x 3 devices x 1 accumulated = 12" in found.arithmetic
    of_no_devices = text.replace("total_train_batch_size: 16", "total_train_batch_size: 18")
    assert codes(of_no_devices)["total-batch"].severity == "error"
    assert codes(of_no_devices.replace(": 4\n", ": 4 \n"))["total-batch"].severity == "error"
    assert "total-batch" not in codes(of_no_devices.replace(": 18", ": 18k"))
    of_one = card(("train_batch_size: 16", "train_batch_size: 1\n- total_train_batch_size: 16"))
    assert "the total batch against its parts" not in audit_text(of_one).checked


def test_training_rows_that_differ_from_the_stated_ones() -> None:
    stated = "# clean\n\nTrained with 20,000 training examples.\n"
    assert "training-rows" not in codes(card(("# clean\n", stated))), "of devices not stated"
    right = card(("# clean\n", stated.replace("20,000", "25,000")))
    assert "training-rows" in codes(right)
    assert "stated training rows against steps" in audit_text(right).checked


def test_without_a_batch_size_rows_stay_open() -> None:
    found = codes(card(("- train_batch_size: 16\n", "")))
    assert "training-rows" not in found
    assert "batch size" in found["missing-hyperparameters"].text


def test_fractional_epochs_fix_steps_within_their_digits() -> None:
    rows = [("3.45", "500"), ("6.9", "1000"), ("10.34", "1500"), ("13.79", "2000")]
    table = "".join(f"| 0.3 | {epoch} | {step} | 0.3 | 0.9 |\n" for epoch, step in rows)
    head = CLEAN[: CLEAN.index("| 0.2244")].replace("num_epochs: 2", "num_epochs: 14")
    found = codes(head + table)
    assert "2,305 to 2,320 rows" in found["training-rows"].text  # 145 steps of 16
    assert "epochs-do-not-fit-steps" not in found


def test_epochs_that_do_not_fit_steps() -> None:
    text = card(("| 3126 |", "| 3200 |"))
    found = codes(text)["epochs-do-not-fit-steps"]
    assert found.severity == "warning"
    assert "step 1,563" in found.arithmetic
    streamed = text.replace("num_epochs: 2", "training_steps: 3200")
    assert "epochs-do-not-fit-steps" not in codes(streamed)


def test_schedule_cut_short_and_overrun() -> None:
    assert (
        "epoch 2 of 5" in codes(card(("num_epochs: 2", "num_epochs: 5")))["schedule-cut-short"].text
    )
    assert "schedule-overrun" in codes(card(("num_epochs: 2", "num_epochs: 1")))


# ------------------------------------------------------------------ scores


def test_trainers_short_figures_are_exact() -> None:
    assert exactly(read_number("0.903")).figure.half_unit == 0  # type: ignore[arg-type]
    assert exactly(read_number("0.9030")).figure.half_unit > 0  # type: ignore[arg-type]


def test_impossible_scores_of_a_stated_test_set() -> None:
    body = (
        "A binary classifier. Evaluated on a test set of 100 examples (50 positive, 50 negative).\n"
        "- Accuracy: 94%\n- Precision: {}\n- Recall: 92%\n- F1: {}\n"
    )
    found = codes(body.format("95.83%", "93.88%"))["confusion-matrix"]
    assert "fix the confusion matrix" in found.text
    assert "true positives 46, false negatives 4, false positives 2" in found.arithmetic
    impossible = codes(body.format("99%", "93.88%"))["no-confusion-matrix-fits"]
    assert impossible.severity == "warning"
    assert "all 51 x 51 matrices" in impossible.arithmetic


def test_named_average_is_the_only_one_tried() -> None:
    body = (
        "A binary classifier. Evaluated on a test set of 100 examples (50 positive, 50 negative).\n"
        "- Accuracy: 90%\n- Macro F1: 90.00%\n"
    )
    assert "macro averages" in codes(body)["confusion-matrix"].text
    assert "macro averages" not in codes(body.replace("Macro ", ""))["confusion-matrix"].text


def test_test_split_is_not_assumed_of_fewer_rows_or_beside_an_evaluation_set() -> None:
    whole = scored_rows(facts_of(CLEAN))
    assert whole is not None
    assert whole.rows == 25_000
    text = card(
        ("value: 0.92956", "value: 0.86\n    - type: f1\n      value: 0.8627450980392156"),
        ("- Accuracy: 0.9296", "- Accuracy: 0.86"),
    )
    assert scored_rows(facts_of(text[: text.index("| Training Loss")])) is None
    unnamed = card(("      split: test\n", ""), ("# clean", "# clean\n\nThere is a test set."))
    assert scored_rows(facts_of(unnamed[: unnamed.index("| Training Loss")])) is None
    more = card(("train_batch_size: 16", "train_batch_size: 32"))
    assert scored_rows(facts_of(more)) is None


# ------------------------------------------------------------------ losses


def test_bounds_of_losses() -> None:
    assert lowest_loss(0.5) == pytest.approx(0.34657, abs=1e-5)
    assert highest_calibrated_loss(0.5) == pytest.approx(0.69315, abs=1e-5)
    assert highest_calibrated_loss(0.9329) == pytest.approx(0.2461, abs=1e-4)
    assert highest_calibrated_loss(1.0) == 0


def test_loss_too_low_for_its_accuracy() -> None:
    text = card(("Loss: 0.2012", "Loss: 0.0402"), ("| 0.2012 ", "| 0.0402 "))
    found = codes(text)["loss-too-low"]
    assert found.severity == "note"
    assert "0.04876 > 0.04025" in found.arithmetic  # (1 - 0.92965) ln 2
    assert "loss-too-low" not in codes(text + "\nTrained with label smoothing.")


def test_over_confident_and_over_fitting_headline() -> None:
    text = card(("Loss: 0.2012", "Loss: 0.3012"), ("| 0.2012 ", "| 0.3012 "))
    found = codes(text)
    assert {"miscalibrated", "loss-rises", "headline-not-best"} <= set(found)
    assert found["miscalibrated"].severity == "note"
    assert found["loss-rises"].text == (
        "Its evaluation loss is lowest at epoch 1, 0.2044, and 47% higher at the end, 0.3012; "
        "accuracy changes by +0.0076."
    )


def test_best_checkpoint_and_headline_that_is_nowhere() -> None:
    text = card(
        ("| 0.2012          | 0.9296", "| 0.3012          | 0.9299"),
        ("| 0.2044          | 0.922 ", "| 0.2012          | 0.9296"),
    )
    found = codes(text)
    assert "Epoch 2 has the higher accuracy, 0.9299." in found["best-checkpoint"].text
    assert found["loss-rises"].severity == "note"
    assert "not-compared" in codes(card(("Loss: 0.2012", "Loss: 0.2999")))


def test_the_headline_is_of_the_row_with_all_its_figures() -> None:
    rows = "| 0.1 | 3.0 | 4689 | 0.3010 | 0.9310 |\n| 0.1 | 4.0 | 6252 | 0.3010 | 0.9296 |\n"
    text = card(("Loss: 0.2012", "Loss: 0.3010"), ("num_epochs: 2", "num_epochs: 4")) + rows
    assert "those of epoch 4, with loss 0.3010" in codes(text)["headline-not-best"].text
    assert "headline-not-best" not in codes(text.replace("0.9310", "0.9296")), "of no one row"


def test_a_loss_cannot_be_too_low_beside_an_accuracy_of_one() -> None:
    text = card(("- Accuracy: 0.9296", "- Accuracy: 1.0"), ("value: 0.92956", "value: 1.0"))
    only_list = text[: text.index("| Training Loss")]
    assert "loss against accuracy" not in audit_text(only_list).checked


# ------------------------------------------------------------------ published runs


def test_accuracy_against_published_runs() -> None:
    found = codes(CLEAN)["accuracy-in-context"]
    assert "8 published runs: mean 0.9283, sd 0.0027" in found.arithmetic
    good = card(("0.92956", "0.98040"), ("0.9296", "0.9804"))
    assert codes(good)["above-published-best"].severity == "warning"
    assert "+15.2 standard errors on 25,000 rows" in codes(good)["above-published-best"].arithmetic
    few = card(("0.92956", "0.96440"), ("0.9296", "0.9644"))
    assert codes(few)["accuracy-in-context"].severity == "note"
    unknown = codes(CLEAN[: CLEAN.index("| Training Loss")])
    assert "accuracy-in-context" not in unknown


def test_other_tasks_are_not_compared() -> None:
    text = card(("- imdb\n", "- yelp_polarity\n"), ("0.92956", "0.98040"), ("0.9296", "0.9804"))
    found = codes(text + "\nUnlike models of IMDb.")
    assert not {
        "above-published-best",
        "accuracy-in-context",
        "first-epoch-in-context",
    } & set(found)


def test_first_epoch_loss_below_all_published() -> None:
    assert codes(card(("| 0.2244 ", "| 0.0744 ")))["first-epoch-loss-low"].severity == "warning"


# ------------------------------------------------------------------ metadata


def test_split_named_train() -> None:
    assert "split-named-train" in codes(card(("split: test", "split: train")))
    mixed = card(("split: test", "split: train+test[:60%]"))
    assert "split-mixes-train-and-test" in codes(mixed)


@pytest.mark.parametrize(
    "text",
    [
        "pipeline(model='YOUR_USERNAME/YOUR_MODEL_NAME')",
        "Accuracy | XX.XX% |",
        "~X.XX ms",
        "[More Information Needed]",
        "[E.g., one hour on a T4]",
        "(Confirm this if you know your setup)",
        "{{ model_summary }}",
        "your-username/some-model",
        "TODO",
    ],
)
def test_placeholders(text: str) -> None:
    assert codes(f"{CLEAN}\n{text}\n")["placeholders"].severity == "warning"


@pytest.mark.parametrize(
    "text", ["os.environ['YOUR_HF_TOKEN']", "Python 3.x.y", "[e.g. this](https://x.org)", "todo"]
)
def test_no_placeholders(text: str) -> None:
    assert "placeholders" not in codes(f"{CLEAN}\n{text}\n")


def test_missing_metadata() -> None:
    assert "missing-license" in codes(card(("license: mit\n", "")))
    in_text = card(("license: mit\n", ""), ("# clean", "# clean\n\n- **License:** MIT"))
    found = codes(in_text)
    assert "missing-license" not in found
    assert found["license-not-in-metadata"].severity == "note"
    assert "missing-base-model" in codes(card(("base_model: distilbert-base-uncased\n", "")))
    assert "missing-datasets" in codes("Accuracy: 0.91")
    assert "seed" in codes(card(("- seed: 42\n", "")))["missing-hyperparameters"].text


def test_prose_that_differs_from_metadata() -> None:
    by_hand = card(("# clean", "# clean\n\nThe model reaches an accuracy of 95%."))
    found = codes(by_hand)["not-compared"]
    assert (found.severity, found.line) == ("note", 24)
    assert "0.92956 (metadata, line 19) and 95% (prose, line 24)" in found.text
    baseline = card(("# clean", "# clean\n\nThe baseline has an accuracy of 85%."))
    assert "not-compared" not in codes(baseline)


def test_metric_given_twice_in_metadata() -> None:
    text = card(("value: 0.92956", "value: 0.92956\n    - type: accuracy\n      value: 0.91"))
    assert "metric-twice" in codes(text)


# ------------------------------------------------------------------ reading


def facts_of(text: str) -> CardFacts:
    return read_card(text)


def figures_of(facts: CardFacts) -> dict[str, str]:
    return {claim.metric: claim.printed.text for claim in facts.claims}


def rows_of(text: str) -> list[TrainingRow]:
    """The training table, whichever lines it stands in."""
    return [replace(row, line=1) for row in facts_of(text).training_rows]


def test_layouts_of_the_training_table_read_alike() -> None:
    piped = CLEAN[CLEAN.index("| Training Loss") :]
    flat = " ".join(piped.split())
    bare = "\n".join(
        " ".join(line.replace("|", " ").split()) for line in piped.splitlines() if ":-" not in line
    )
    expected = rows_of(CLEAN)
    assert len(expected) == 2
    for table in (flat, bare, " ".join(bare.split()), piped.replace("\n", "\r\n")):
        assert rows_of(f"before\n\n{table}\n\n### Framework versions") == expected


def test_a_card_on_one_line_reads_like_the_same_on_many() -> None:
    flat, whole = facts_of(" ".join(CLEAN.split())), facts_of(CLEAN)
    assert flat.front_matter.state == "flattened"
    assert (flat.licence, flat.base, flat.dataset) == (whole.licence, whole.base, whole.dataset)
    assert replace(flat.hyperparameters, line=1) == replace(whole.hyperparameters, line=1)
    assert rows_of(" ".join(CLEAN.split())) == rows_of(CLEAN)
    assert [(c.metric, c.printed) for c in flat.claims] == [
        (c.metric, c.printed) for c in whole.claims
    ]


def test_no_log_and_other_columns() -> None:
    facts = facts_of(
        "| Training Loss | Epoch | Step | Accuracy | F1 | Validation Loss |\n"
        "|---|---|---|---|---|---|\n| No log | 1.0 | 57 | 0.58 | 0.5 | 0.8591 |\n"
    )
    (row,) = facts.training_rows
    assert row.training_loss is None
    assert (row.step, row.loss and row.loss.text) == (57, "0.8591")
    assert set(row.scores) == {"accuracy", "f1"}


def test_claims_in_tables_json_and_prose() -> None:
    facts = facts_of(
        "| Metric | Validation | Test |\n|---|---|---|\n| Accuracy | 91.0% | 90.5% |\n\n"
        "| class | precision | recall |\n|---|---|---|\n| a | 0.9 | 0.8 |\n"
        "| macro avg | 0.85 | 0.75 |\n\n"
        '```json\n{"dataset": {"split": "test"}, "metrics": {"eval_loss": 0.25}}\n```\n'
        "The weighted F1 is 0.905. It retains 97% of BERT. Mixed precision: 16.\n"
    )
    by_split = {c.split: c.printed.text for c in facts.claims if c.metric == "accuracy"}
    assert by_split == {"validation": "91.0%", "test": "90.5%"}
    precision = facts.headline("precision")
    assert precision is not None
    assert (precision.printed.text, precision.average) == ("0.85", "macro")
    loss, f1 = facts.headline("loss"), facts.headline("f1")
    assert loss is not None
    assert (loss.source, loss.split) == ("JSON block", "test")
    assert f1 is not None
    assert f1.average == "weighted"
    assert facts.headline("recall") is not None


def test_hyperparameters_in_prose() -> None:
    recipe = facts_of(
        "Learning rate 2e-5 with linear decay, per-device batch sizes 16 (train) / 32 (eval), "
        "split with seed 7. Two epochs: 2 epochs (~2,814 optimizer steps)."
    ).hyperparameters
    assert recipe.learning_rate == pytest.approx(2e-5)
    assert (recipe.batch, recipe.epochs, recipe.steps, recipe.seed) == (16, 2, 2_814, 7)


def test_words() -> None:
    assert metric_named("Test F1-Score (macro)") == "f1"
    assert metric_named("balanced accuracy") == "balanced accuracy"
    assert metric_named("entity_f1") is None
    assert read_name("Age F1").key == "age f1"
    assert read_name("eval_rougeLsum").key == "rougelsum"
    assert read_name("Test WER (+LM)").subject == "lm"
    assert average_in("F1 (weighted/macro)") is None
    assert split_in("Validation Accuracy") == "validation"
    assert code_fences("a```b```c```d") == [(4, 5), (12, 13)]
    assert blank_out("ab\ncd", [(1, 4)]) == "a \n d"


def test_broken_front_matter_is_said_and_read_as_far_as_possible() -> None:
    found = codes(card(("license: mit", "license: mit: [")))
    assert found["broken-metadata"].severity == "warning"
    facts = facts_of("---\nlicense: mit\nbase_model: bert-base\n# never closed\ntext")
    assert facts.front_matter.state == "broken"
    assert facts.licence == "mit"


def test_the_licence_ends_before_the_full_stop() -> None:
    assert read_card("License: MIT. More text.").licence == "MIT"
    assert read_card("**License:** apache-2.0").licence == "apache-2.0"


def test_a_librarys_version_is_no_data_set() -> None:
    text = "fine-tuned on an unknown dataset.\n### Framework versions\n- Datasets 2.8.0\n"
    assert read_card(text).dataset is None


def test_the_heading_after_a_figure_is_not_of_its_sentence() -> None:
    text = "It achieves the following results on the evaluation set: - Accuracy: 0.91 ## Training"
    assert [claim.split for claim in read_card(text).claims] == [None]


# ------------------------------------------------------------------ hostile documents

NASTY = {
    "letters": "a" * 10**6,
    "spaces": " " * 10**6,
    "lines": "\n" * 10**6,
    "commas": "1," * 500_000,
    "digits": "1" * 10**6,
    "brackets": "---\n" + "[" * 10**6,
    "dashes": "---\n" + "- " * 500_000,
    "nested json": "```json\n" + "[1," * 20_000 + "```",
    "claims": "accuracy: 0.9" * 70_000,
    "joins": "accuracy: " * 100_000,
    "parentheses": "accuracy ((((((((" * 55_000,
    "fences": "```" * 330_000,
    "pipes": "|" * 10**6,
    "table": CLEAN + "| 0.1 | 1.0 | 1563 | 0.2 | 0.9 |\n" * 30_000,
    "headers": "Training Loss Epoch Step 0.1 1 2 " * 30_000,
    "blanks": "XX." * 330_000,
    "merges": "---\na: &a {k: v}\n"
    + "".join(f"a{i}: &a{i} {{<<: [*a, *a]}}\n" for i in range(40))
    + "---\n",
}  # fmt: skip


@pytest.mark.parametrize("name", NASTY)
def test_a_hostile_megabyte_is_read_in_time(name: str) -> None:
    start = time.process_time()
    assert isinstance(audit_text(NASTY[name]), Audit)
    assert time.process_time() - start < 10  # against what grows with the square of its length


def test_alias_bomb_in_names() -> None:
    lines = "".join(f"b{i}: &b{i} [*b{i - 1}, *b{i - 1}]\n" for i in range(1, 40))
    block = f"---\nb0: &b0 [x]\n{lines}model-index:\n- results:\n  - dataset: {{name: *b39}}\n"
    text = f"{block}    metrics: [{{type: *b39, value: *b39}}]\n---\n"
    assert isinstance(audit_text(text), Audit)


def test_size_limit_is_said() -> None:
    found = audit_text("a " * LARGEST, completeness=True).findings
    assert any("Only the first 500,000 of 1,000,000" in one.text for one in found)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff\xfe\x80",
        b"---",
        b"---\n---\n",
        b"---\nmodel-index: 3\ndatasets: {a: b}\nlicense: [1, 2]\n---\n",
        b"---\nmodel-index: [{results: [{metrics: [{type: accuracy, value: .nan}]}]}]\n---\n",
        b"---\nd: 2024-99-99\n---\n",
        b"---\nmodel-index: [{results: [{metrics: [{type: accuracy, value: 1"
        + b"0" * 5000
        + b"}]}]}]\n---",
        b"accuracy: 0.9" + b"9" * 5000,
        "Accuracy: 0.93 é".encode("latin-1"),
        b"\xef\xbb\xbf" + CLEAN.encode(),
        CLEAN.replace("\n", "\r\n").encode(),
        CLEAN.encode("utf-16"),
    ],
)
def test_odd_documents_end_in_findings(data: bytes) -> None:
    assert isinstance(audit_bytes(data, completeness=True), Audit)


def test_byte_order_mark_and_line_ends_change_nothing() -> None:
    assert audit_bytes(b"\xef\xbb\xbf" + CLEAN.encode()) == audit_text(CLEAN)
    assert audit_text(CLEAN.replace("\n", "\r\n")) == audit_text(CLEAN)


def test_mutated_cards_never_fail() -> None:
    choices = random.Random(7)
    pieces = re.findall(r"\s+|\w+|[^\w\s]", CLEAN)
    odd = ["0", "-1", "1e999", "1e-400", "%", "|", "---", "\x00", "nan", "{", "[", "*a", "9" * 400]
    for _ in range(300):
        mutated = list(pieces)
        for _ in range(choices.randrange(1, 30)):
            at = choices.randrange(len(mutated))
            action = choices.randrange(4)
            if action == 0:
                mutated[at] = choices.choice(odd)
            elif action == 1:
                del mutated[at : at + choices.randrange(1, 20)]
            elif action == 2:
                mutated.insert(at, choices.choice(pieces))
            else:
                mutated[at : at + 1] = mutated[at : at + 40][::-1]
            mutated = mutated or [""]
        assert isinstance(audit_text("".join(mutated), completeness=True), Audit)


def test_random_bytes_never_fail() -> None:
    choices = random.Random(8)
    for _ in range(100):
        assert isinstance(audit_bytes(choices.randbytes(choices.randrange(2_000))), Audit)


# ------------------------------------------------------------------ command and output

WRONG = "- generated_from_trainer\n- train_batch_size: 12\n- total_train_batch_size: 64\n"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "README.md"
    differs = card(("- Accuracy: 0.9296", "- Accuracy: 0.9496"))
    path.write_text(differs, encoding="utf-8")
    assert main([str(path)]) == 0
    assert "suspicious: headline-differs-from-row (line 26)" in capsys.readouterr().out
    path.write_text(WRONG, encoding="utf-8")
    assert main([str(path), "--strict"]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"{path}: contradicts itself: total-batch (line 2)"
    assert main([str(path), str(tmp_path / "none.md"), "--json"]) == 2
    printed = capsys.readouterr()
    assert "none.md: no such file" in printed.err
    (entry,) = json.loads(printed.out)
    assert (entry["verdict"], entry["counts"]["error"]) == ("contradicts itself", 1)
    assert set(entry["findings"][0]) == {"code", "severity", "text", "arithmetic", "line"}


def test_one_line_a_card_and_annotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clean.md").write_text(CLEAN, encoding="utf-8")
    Path("bad,50%.md").write_text(WRONG, encoding="utf-8")
    Path("empty.md").write_text("A model.", encoding="utf-8")
    assert main(["--table", "--strict", "clean.md", "bad,50%.md", "empty.md"]) == 1
    clean, bad, empty = capsys.readouterr().out.splitlines()
    assert clean.startswith("clean.md: no contradiction: metadata against the list of results; ")
    assert bad == "bad,50%.md: contradicts itself: total-batch (line 2)"
    assert empty == "empty.md: nothing compared: the audit found no two figures that it compares"
    assert main(["--github", "clean.md", "bad,50%.md"]) == 0
    annotation = capsys.readouterr().out
    assert annotation.startswith("::error file=bad%2C50%25.md,line=2,title=total-batch::Its")
    assert annotation.count("\n") == 1


def test_what_is_no_text_is_no_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "model.zip"
    archive.write_bytes(b"PK\x03\x04\x14\x00\x00\x00README.md")
    for path, said in ((archive, "is no text file; name "), (tmp_path, "is a folder; name ")):
        assert main([str(path)]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith(f"error: {path}")
        assert said in printed


def test_findings_stand_at_the_line_that_they_are_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "README.md"
    suspicious = card(("0.92956", "0.98040"), ("0.9296", "0.9804"), ("| 0.2244 ", "| 0.0744 "))
    path.write_text(suspicious, encoding="utf-8")
    main([str(path), "--github"])
    lines = suspicious.splitlines()
    marked = re.findall(r"line=(\d+),title=([a-z-]+)", capsys.readouterr().out)
    assert {title: lines[int(line) - 1] for line, title in marked} == {
        "above-published-best": "    - type: accuracy",
        "first-epoch-loss-low": "| 0.0744        | 1.0   | 1563 | 0.2044          | 0.922    |",
    }


def test_command_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(CLEAN.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["-", "--strict"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("-: no contradiction: ")


def test_output_is_harmless(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("[e.g. \x1b[31m <script>|x|](no)", encoding="utf-8")
    main([str(path)])
    assert "\x1b" not in capsys.readouterr().out
    shown = as_markdown(
        "card.md", audit_text("(confirm this <script>alert|1|</script>)", completeness=True)
    )
    assert "<script>" not in shown.replace("\\<", "")


# ------------------------------------------------------------------ the five documents


def document(number: str) -> dict[str, Finding]:
    (path,) = (SHARED / "cards").glob(f"{number}_*.txt")
    return {
        finding.code: finding
        for finding in audit_bytes(path.read_bytes(), completeness=True).findings
    }


@needs_shared
def test_grojeda() -> None:
    found = document("000")
    assert not [one for one in found.values() if one.severity != "note"]
    assert "22,497 to 22,512" in found["training-rows"].text
    assert "22,500 (the train split less a tenth)" in found["training-rows"].text
    (path,) = (SHARED / "cards").glob("000_*.txt")
    checked = audit_bytes(path.read_bytes()).checked
    assert checked == ("stated training rows against steps",)  # 22.5k; 2,814 steps of 16, 2 epochs


@needs_shared
def test_deepaxion() -> None:
    found = document("001")
    assert not [one for one in found.values() if one.severity == "error"]
    verdict = found["no-confusion-matrix-fits"]
    assert "cannot be scores of one class: no confusion matrix of 12,500 + 12,500" in verdict.text
    assert "As macro averages, or weighted" in verdict.text
    assert "they hold only if accuracy lies in 0.9350 to 0.9352" in verdict.text
    assert "macro averages: 4,640" in verdict.arithmetic
    assert "4 passages" in found["placeholders"].text
    assert "learning rate, seed" in found["missing-hyperparameters"].text


@needs_shared
def test_template() -> None:
    found = document("002")
    assert "XX.XX%" in found["placeholders"].arithmetic
    assert "YOUR_USERNAME/YOUR_MODEL_NAME" in found["placeholders"].arithmetic
    assert found["blank-figures"].line == 39


@needs_shared
def test_llm_project() -> None:
    found = document("003")
    assert "19,985 to 20,000" in found["training-rows"].text
    assert found["above-published-best"].severity == "warning"
    assert "+6.8 standard errors on 5,000 rows" in found["above-published-best"].arithmetic
    assert "0.0743" in found["first-epoch-loss-low"].text
    assert "epoch 2, the lowest loss" in found["best-checkpoint"].text


@needs_shared
def test_hansaht() -> None:
    found = document("004")
    assert "24,993 to 25,008" in found["training-rows"].text
    assert (
        "epoch 5, with loss 0.3494; epoch 2 has the lowest, 0.2392"
        in found["headline-not-best"].text
    )
    assert "46% higher at the end" in found["loss-rises"].text
    assert "H(0.93285) = 0.2462" in found["miscalibrated"].arithmetic
    assert "missing-license" in found


@needs_shared
def test_the_page_of_the_five_cards_is_what_the_command_prints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [
        f"{card}.md" for card in ("grojeda", "deepaxion", "template", "llm_project", "hansaht")
    ]
    for number, name in enumerate(names):
        (path,) = (SHARED / "cards").glob(f"00{number}_*.txt")
        (tmp_path / name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert main(["--markdown", *names]) == 0
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    assert page.endswith(capsys.readouterr().out)
