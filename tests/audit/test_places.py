"""The same figure in several places of a card, and scores against one another; figures made up."""

import pytest

from cardproof.audit import Finding, audit_text
from cardproof.audit.numbers import agree, nearly_agree, read_number
from cardproof.audit.reading import read_card
from cardproof.audit.rendering import verdict
from cardproof.recipe.reported import PrintedFigure


def codes(text: str) -> dict[str, Finding]:
    return {one.code: one for one in audit_text(text).findings if one.severity != "note"}


def notes(text: str) -> str:
    return " ".join(one.text for one in audit_text(text).findings if one.severity == "note")


def trainers(
    metadata: str = "", listed: str = "", table: str = "", recipe: str = "", text: str = ""
) -> str:
    """A card as the Trainer writes it; metadata and the list as `name value` lines."""
    entries = "".join(
        f"    - type: {name}\n      value: {value}\n"
        for name, value in (line.rsplit(" ", 1) for line in metadata.splitlines())
    )
    items = "".join(
        f"- {name}: {value}\n"
        for name, value in (one.rsplit(" ", 1) for one in listed.splitlines())
    )
    return (
        "---\ntags: [generated_from_trainer]\nmodel-index:\n- name: made-up\n  results:\n"
        "  - task:\n      type: text-classification\n"
        "    dataset: {name: made-up, type: made-up}\n"
        f"    metrics:\n{entries or '      []'}\n---\n# made-up\n\n{text}\n\n"
        f"It achieves the following results on the evaluation set:\n{items}\n## Training\n\n"
        f"{recipe}\n{table}\n"
    )


TABLE = """\
| Training Loss | Epoch | Step | Validation Loss | {0} |
|:-:|:-:|:-:|:-:|:-:|
| 0.61 | 1.0 | 100 | 0.5512 | {1} |
| 0.47 | 2.0 | 200 | 0.5377 | {2} |
"""


# ------------------------------------------------------------------ one figure in several places


@pytest.mark.parametrize("metric", ["wer", "rouge1", "bleu", "exact_match", "accuracy", "sari"])
def test_metadata_against_the_list_for_any_metric(metric: str) -> None:
    name = metric.replace("_", " ").capitalize()
    one, other = f"{metric} 0.3127\nloss 0.5377", f"Loss 0.5377\n{name} 0.3271"
    text = trainers(one, other)
    found = codes(text)["figures-differ"]
    assert (found.severity, found.line) == ("warning", text[: text.index("0.3271")].count("\n") + 1)
    assert "though both places have loss 0.5377" in found.text
    assert "two evaluations" in found.text
    assert verdict(audit_text(text))[0] == "suspicious"
    assert not codes(trainers(one.replace("0.3127", "0.31268"), other.replace("0.3271", "0.3127")))


def test_two_places_none_of_whose_figures_agree_are_of_two_evaluations() -> None:
    text = trainers("accuracy 0.8371\nf1 0.8212", "Accuracy 0.8561\nF1 0.8122")
    (note,) = audit_text(text).findings
    assert (note.code, note.severity) == ("not-compared", "note")
    assert "accuracy 0.8371 (metadata, line 10) and 0.8561 (results list, line 21)" in note.text
    assert verdict(audit_text(text))[0] == "nothing compared"


def test_two_digits_agree_by_chance() -> None:
    assert codes(trainers("accuracy 0.911\nf1 0.90", "Accuracy 0.911\nF1 0.85"))["figures-differ"]
    assert not codes(trainers("accuracy 0.91\nf1 0.90", "Accuracy 0.91\nF1 0.85"))


def test_roundings_that_only_touch_are_not_one_number() -> None:
    assert not agree(PrintedFigure(0.9254, 5e-5), PrintedFigure(0.9255, 5e-5))
    assert nearly_agree(PrintedFigure(0.9254, 5e-5), PrintedFigure(0.9255, 5e-5))
    assert agree(PrintedFigure(0.92545, 0), PrintedFigure(0.9255, 5e-5))


def test_a_percentage_is_its_share() -> None:
    assert not codes(trainers("wer 34.21\nloss 0.5123", "Wer 0.3421\nLoss 0.5123"))
    assert codes(trainers("wer 34.21\nloss 0.5123", "Wer 0.3124\nLoss 0.5123"))["figures-differ"]


def test_other_places_are_not_compared() -> None:
    verified = trainers("wer 0.41\n", "Wer 0.31").replace(
        "value: 0.41", "value: 0.41\n      verified: true"
    )
    assert not codes(verified)
    labelled = trainers("f1 0.71", "Name F1 0.91\nAge F1 0.51\nMacro F1 0.66")
    assert not codes(labelled)
    named = trainers("f1 0.71", "Loss 0.5").replace("type: f1", "type: f1\n      name: PER F1")
    twice = named.replace("value: 0.71", "value: 0.71\n    - {type: f1, name: LOC F1, value: 0.61}")
    assert "metric-twice" not in codes(twice)
    assert "metric-twice" in codes(twice.replace("LOC", "PER"))


def test_what_repeats_the_metadata_is_not_compared_with_the_list() -> None:
    text = trainers("wer 8.00", "Wer 8.7457").replace("made-up}", "made-up, split: test}")
    assert not codes(text + "\n**Results**\n\n- Common Voice: 8.00 wer\n")
    assert "8.50 (prose, line 28)" in notes(text + "\n**Results**\n\n- Common Voice: 8.50 wer\n")
    assert not codes(trainers("wer 31.2") + "\nWithout LM:\n\n- WER: 0.4215\n")


def test_several_results_are_of_several_data_sets() -> None:
    other = "\n  - task: {type: text-classification}\n    dataset: {name: b, type: b}\n"
    text = trainers("accuracy 0.81", "Accuracy 0.91")
    two = text.replace(
        "\n---\n# ", f"{other}    metrics: [{{type: accuracy, value: 0.71}}]\n---\n# "
    )
    assert "figures-differ" not in codes(two)
    assert "accuracy 0.81 (metadata, line 10) and 0.91" in notes(two)
    assert not audit_text(two).checked


def test_a_sentence_and_a_table_against_the_metadata() -> None:
    text = trainers("wer 0.2130")
    assert "0.2310 (prose" in notes(text + "\nIt has a WER of 0.2310.\n")
    assert "0.2310 (table" in notes(text + "\n| Metric | Value |\n|---|---|\n| WER | 0.2310 |\n")
    assert not notes(text + "\nThe baseline has a WER of 0.2310.\n")
    assert not notes(text + "\nIts precision\n0.2310 is said on the next line.\n")


# ------------------------------------------------------------------ headline and training table


def test_a_headline_whose_loss_is_that_of_a_row() -> None:
    table, recipe = TABLE.format("Wer", 0.3301, 0.3127), "- num_epochs: 2\n"
    assert not codes(trainers(listed="Loss 0.5377\nWer 0.3127", table=table, recipe=recipe))
    found = codes(trainers(listed="Loss 0.5377\nWer 0.2981", table=table, recipe=recipe))
    assert set(found) == {"headline-differs-from-row"}
    assert (
        "wer 0.2981 is not that of the row of its table with loss 0.5377"
        in found["headline-differs-from-row"].text
    )
    assert found["headline-differs-from-row"].arithmetic.startswith("epoch 2 ")
    longer = recipe.replace("2", "3")
    gave_up = audit_text(trainers(listed="Loss 0.5377\nWer 0.2981", table=table, recipe=longer))
    assert gave_up.checked == ("steps against epochs",)
    assert gave_up.findings[0].text == (
        "Not compared: its headline (loss 0.5377, wer 0.2981) is in no row of its table; the table "
        "ends at epoch 2 of 3, so a later row may be missing."
    )


def test_the_figure_that_is_named_is_one_that_differs() -> None:
    table = TABLE.format("Rouge1_recall | Wer", "30.2 | 0.33", "31.4476 | 0.3127").replace("_", " ")
    table = table.replace(":-:|\n", ":-:|:-:|\n", 1)
    listed = "Loss 0.5377\nRouge1 recall 31.2476\nWer 0.2981"
    found = codes(trainers(listed=listed, table=table, recipe="num_epochs: 2\n"))
    assert "Its headline wer 0.2981" in found["headline-differs-from-row"].text


def test_loss_and_accuracy_in_the_column_of_each_other() -> None:
    table = TABLE.format("Accuracy", 0.8012, 0.5377).replace(
        "| 0.5377 | 0.5377", "| 0.9450 | 0.3001"
    )
    text = trainers(listed="Loss 0.3001\nAccuracy 0.9450", table=table, recipe="num_epochs: 2")
    found = codes(text)
    assert set(found) == {"columns-swapped"}
    assert "accuracy and loss are swapped at epoch 2" in found["columns-swapped"].text
    assert "loss-rises" not in {one.code for one in audit_text(text).findings}
    assert text.splitlines()[found["columns-swapped"].line - 1].endswith("| 0.9450 | 0.3001 |")


def test_columns_swapped_in_the_middle_of_a_table() -> None:
    table = TABLE.format("Accuracy", 0.7312, 2.2604).replace("0.5512", "2.1081")
    found = codes(trainers(table=table.replace("0.5377", "0.7325")))
    assert set(found) == {"columns-swapped"}
    assert (
        "accuracy 2.2604, loss 0.7325, against accuracy 0.7312, loss 2.1081 at epoch 1"
        in found["columns-swapped"].text
    )
    assert not codes(trainers(table=table)), "a loss that is far from the accuracy before"


def test_one_row_of_a_table_cannot_contradict_itself() -> None:
    table = TABLE.format("Wer", 0.9301, 0.3127)
    assert "steps against epochs" in audit_text(trainers(table=table)).checked
    one_row = "\n".join(table.splitlines()[:-1])
    assert not audit_text(trainers(table=one_row)).checked


def test_what_a_second_evaluation_changes_is_not_reported() -> None:
    table, recipe = TABLE.format("Rouge1", 31.44, 32.61), "- num_epochs: 2\n"
    again = trainers(listed="Loss 0.5377\nRouge1 32.5712", table=table, recipe=recipe)
    assert not codes(again), "ROUGE's means are bootstrapped"
    masked = trainers(listed="Loss 0.5291", table=table, recipe=recipe)
    assert not codes(masked), "masked words are drawn anew"


def test_an_empty_first_cell_keeps_its_column() -> None:
    table = "\n||Accuracy|Precision|Recall|F1|\n|-|-|-|-|-|\n|Test|0.723|0.692|0.729|0.701|\n"
    claims = {claim.metric: claim.printed.text for claim in read_card(table).claims}
    assert claims == {"accuracy": "0.723", "precision": "0.692", "recall": "0.729", "f1": "0.701"}


# ------------------------------------------------------------------ scores against one another


def test_a_share_above_a_hundred_percent() -> None:
    assert codes(trainers(metadata="accuracy 127.0"))["out-of-range"].severity == "warning"
    assert not codes(trainers(listed="Accuracy 91.27\nF1 0.83"))
    assert not codes(trainers(metadata="accuracy 0,912"))


@pytest.mark.parametrize(
    ("precision", "recall", "f1", "possible"),
    [
        ("0.7000", "0.6000", "0.6501", True),  # rounded, above the mean by less than a digit
        ("0.7000", "0.6000", "0.6510", False),
        ("0.7000", "0.6000", "0.4100", True),  # far from the harmonic mean: an average of classes
        ("0.9900", "0.9800", "0.9500", False),
        ("70.0%", "60.0%", "66.0%", False),
    ],
)
def test_f1_between_the_bounds_of_any_average(
    precision: str, recall: str, f1: str, possible: bool
) -> None:
    found = codes(trainers(listed=f"Precision {precision}\nRecall {recall}\nF1 {f1}"))
    assert ("f1-out-of-bounds" not in found) == possible
    # Macro precision and recall beside a weighted F1 are often printed without their averages.
    assert possible or found["f1-out-of-bounds"].severity == "warning"
    of_one = trainers(listed=f"Macro precision {precision}\nMacro recall {recall}\nMacro F1 {f1}")
    assert possible or codes(of_one)["f1-out-of-bounds"].severity == "warning"
    mixed = trainers(listed=f"Macro precision {precision}\nMacro recall {recall}\nF1 {f1}")
    assert "f1-out-of-bounds" not in codes(mixed)


def test_f1_of_one_class_is_the_harmonic_mean() -> None:
    table = "\n| {} | precision | recall | f1-score |\n|-|-|-|-|\n| a | 0.9253 | 0.9264 | {} |\n"
    table += "| b | 0.8 | 0.8 | 0.8 |\n"
    assert set(codes(table.format("class", "0.9117"))) == {"report-row"}
    assert codes(table.format("class", "0.9117"))["report-row"].severity == "warning"
    assert not codes(table.format("class", "0.9260")), "of precision and recall rounded before"
    assert codes(table.format("model", "0.9317"))["f1-out-of-bounds"].severity == "warning"


def test_averages_that_are_accuracy_by_definition() -> None:
    text = trainers(listed="Accuracy 0.8120\nWeighted recall 0.8210\nMacro recall 0.7011")
    assert codes(text)["averages-differ"].severity == "warning"
    assert not codes(text.replace("0.8210", "0.8120"))
    assert not codes(text.replace("# made-up", "# made-up, multi-label"))


# ------------------------------------------------------------------ rows


def test_a_streamed_data_set_has_no_steps_per_epoch() -> None:
    recipe = "- train_batch_size: 8\n- training_steps: 200\n"
    table = TABLE.format("Wer", 0.3301, 0.3127).replace("| 1.0 | 100", "| 0.5 | 100")
    streamed = table.replace("| 2.0 | 200", "| 1.02 | 200")
    notes = {one.code for one in audit_text(trainers(table=streamed, recipe=recipe)).findings}
    assert not notes & {"training-rows", "epochs-do-not-fit-steps"}


# ------------------------------------------------------------------ classification reports

REPORT = """
```
              precision    recall  f1-score   support

        calm       0.90      0.80      0.85       100
       angry       0.82      0.91      {f1}       100

    accuracy                           {accuracy}       200
   macro avg       0.86      0.86      {macro}       200
weighted avg       0.86      0.86      0.86       200
```
"""


def test_a_report_in_itself() -> None:
    assert not codes(REPORT.format(f1=0.86, accuracy=0.86, macro=0.86))
    row = codes(REPORT.format(f1=0.89, accuracy=0.86, macro=0.86))["report-row"]
    assert (row.severity, row.line) == ("warning", 6)


def test_a_report_as_a_table_and_against_the_headline() -> None:
    table = (
        "\n| class | precision | recall | f1-score | support |\n|-|-|-|-|-|\n"
        "| calm | 0.90 | 0.80 | 0.85 | 100 |\n| angry | 0.82 | 0.91 | {} | 100 |\n"
    )
    assert codes(table.format("0.80"))["report-row"].line == 5
    assert not codes(table.format("0.86"))
    report = REPORT.format(f1=0.86, accuracy=0.86, macro=0.86)
    of_other_rows = trainers("accuracy 0.9312", "Accuracy 0.9312") + report
    assert "accuracy 0.9312 (metadata, line 10) is not that of its" in notes(of_other_rows)
    agrees = trainers("accuracy 0.8551", "Accuracy 0.8551") + report
    assert "the headline against its classification report" in audit_text(agrees).checked


def test_numbers_with_a_decimal_comma() -> None:
    for text, value in (("0,912", 0.912), ("93,5", 93.5), ("1,234", 1234), ("25,000", 25_000)):
        printed = read_number(text)
        assert printed is not None
        assert printed.figure.value == pytest.approx(value)


# ------------------------------------------------------------------ what is no proof


def test_what_may_be_of_several_things_is_not_called_in_doubt() -> None:
    total = REPORT.format(f1=0.86, accuracy=0.86, macro=0.86).replace("macro avg ", "avg / total")
    assert not codes(
        total.replace(
            "0.86      0.86      0.86       200\nweighted",
            "0.80      0.80      0.86       200\nweighted",
        )
    )
    column = "| x | F |\n|-|-|\n| a | 212.5 |\n| b | 100.5 |\n"
    assert not codes(column)


def test_a_second_list_of_hyperparameters_is_of_another_training() -> None:
    first = "The following hyperparameters were used during training:\n- train_batch_size: 32\n"
    second = "- train_batch_size: 12\n- total_train_batch_size: 48\n"
    assert not codes(trainers(recipe=first + "\n" + second))
    assert codes(trainers(recipe=first + "- total_train_batch_size: 48\n"))["total-batch"]
