"""Cards that are consistent, each of which was accused once; figures made up."""

import pytest

from cardproof.audit import audit_text

GENERATED = "---\ntags: [generated_from_trainer]\n---\n"
IMDB = (
    "---\ndatasets: [imdb]\nbase_model: distilbert-base-uncased\ntags: [generated_from_trainer]\n"
    "model-index:\n- results:\n  - task: {type: text-classification}\n"
    "    dataset: {name: imdb, type: imdb, split: SPLIT}\n"
    "    metrics: [{type: accuracy, value: 0.97}, {type: f1, value: 0.9}]\n---\n"
)
REPORT = """
```
              precision    recall  f1-score   support

         PER       0.90      0.80      0.85       100
         LOC       0.82      0.91      0.86       100

    accuracy                           0.98       200
   macro avg       0.86      0.86      0.60       200
weighted avg       0.86      0.86      0.86       200
```
"""


def listed(*figures: str) -> str:
    """The Trainer's list of results."""
    items = "".join(f"- {figure}\n" for figure in figures)
    return f"It achieves the following results on the evaluation set:\n{items}\n"


def table(columns: str, *rows: str) -> str:
    """A table of cells that blanks separate."""
    names = columns.split()
    lines = [" | ".join(names), "|".join("-" * len(names)), *(" | ".join(r.split()) for r in rows)]
    return "\n" + "".join(f"| {line.replace('_', ' ')} |\n" for line in lines) + "\n"


def run(name: str, *rows: str, epochs: str = "") -> str:
    """A table of a training run, of epochs, steps, losses and one score or several."""
    planned = f"\n- num_epochs: {epochs}\n" if epochs else ""
    return planned + table(f"Training_Loss Epoch Step Validation_Loss {name}", *rows)


def metadata(*metrics: str) -> str:
    """A model-index of one result."""
    entries = "".join(f"    - {{{metric}}}\n" for metric in metrics)
    head = "---\nmodel-index:\n- results:\n  - dataset: {name: x, type: x}\n    metrics:\n"
    return f"{head}{entries}---\n"


def imdb_run(steps: int) -> str:
    """An IMDb recipe without a score, and a first loss that is far below the published ones."""
    return "- train_batch_size: 16\n" + run("", f"0.05 1.0 {steps} 0.2", epochs="1")


CONSISTENT = {
    "token accuracy": REPORT,
    "subset accuracy": f"A multi-label model.\n{REPORT}",
    "another report": f"It has an accuracy of 0.91 on our data.\n{REPORT}",
    "low percentages": "All scores in percent.\n\n- Precision: 1.2\n- Recall: 0.9\n- F1: 1.03\n",
    "low percentages of a run": run(
        "Accuracy", "7.1 1.0 10 1.05 0.9", "7.0 2.0 20 1.03 1.4", "6.9 3.0 30 0.97 2.3"
    ),
    "decimal comma": metadata("type: accuracy, value: '93,125'"),
    "tokens": f"{GENERATED}- train_batch_size: 12 sequences\n"
    "- total_train_batch_size: 4096 tokens\n",
    "scored again": listed("Loss: 0.1355", "Wer: 0.1532")
    + run("Wer", "0.3 1.0 10 0.2012 0.21", "0.2 2.0 20 0.1355 0.1531", epochs="2"),
    "longer texts": listed("Loss: 1.1355", "Gen Len: 30.2")
    + run("Gen_Len", "0.3 1.0 10 1.1355 19.0", epochs="1"),
    "another evaluation": listed("Loss: 0.3", "Accuracy: 0.7106")
    + run("Accuracy", "0.3 1.0 10 0.0138 1.0", epochs="1"),
    "ends before the last epoch": listed("Loss: 0.2359", "F1: 0.9034")
    + run("F1", "0.3 0.76 10 0.2359 0.9405", epochs="3"),
    "an accuracy by chance": listed("Loss: 0.31", "Accuracy: 0.6926", "F1: 0.41")
    + run("Accuracy F1", "0.3 1.0 10 0.6 0.6926 0.40", epochs="1"),
    "loss and accuracy alike": listed("Loss: 0.8223", "Accuracy: 0.82")
    + run("Accuracy", "0.3 1.0 10 0.8223 0.82", "0.3 2.0 20 0.9 0.82", epochs="2"),
    "a part of the test rows": IMDB.replace("SPLIT", "train") + listed("Accuracy: 0.97", "F1: 0.9"),
    "no accuracy": f"---\ndatasets: [imdb]\nbase_model: distilbert\n---\n{imdb_run(1563)}",
    "more rows than the split": IMDB.replace("SPLIT", "test") + imdb_run(2000),
    "unstated devices": f"On 4 A100 GPUs with 10,000 training examples.\n\n{imdb_run(157)}",
    "thousands with a point": "Trained on 129.669 sentences, 25.000 training examples.\n\n"
    + imdb_run(8105),
    "epochs of a part": "We freeze the encoder for 1 epoch, then train 5 epochs in all.\n"
    + run("Wer", "0.3 1.0 10 0.2 0.3", "0.2 5.0 50 0.1 0.2"),
    "a product of epochs": run("Wer", "0.3 1.0 10 0.2 0.3", "0.2 4.0 40 0.1 0.2", epochs="2*2"),
    "ablation": "- num_epochs: 3\n"
    + table("Model Epochs Train_Loss Validation_Loss", "a 10 0.1 0.3", "b 5 0.2 0.3", "c 10 1 0.2"),
    "ablation in order": "- num_epochs: 3\n"
    + table("Model Epochs Train_Loss Validation_Loss", "a 3 0.1 0.3", "b 5 0.2 0.3"),
    "a run for each epoch": run(
        "Wer", "0.3 1.0 38 0.2 0.3", "0.2 2.0 35 0.1 0.2", "0.2 3.0 35 0.1 0.2", epochs="1"
    ),
    "average behind": "- Precision: 0.60 (macro)\n- Recall: 0.62 (macro)\n- F1: 0.88 (weighted)\n",
    "a mean of folds": "5 folds. Evaluated on a test set of 100 examples.\n\n- Accuracy: 93.33%\n",
    "arguments": metadata(
        "type: f1, value: 0.9, args: {average: micro}",
        "type: f1, value: 0.7, args: {average: macro}",
    ),
    "a value scored again": metadata("type: wer, value: 18.0302", "type: wer, value: 17.98"),
    "two data sets": metadata("type: f1, value: 0.9102") + "F1 is 0.8990 on CoNLL++.\n",
    "several labels": GENERATED
    + listed("Loss: 0.1437", "F1: 0.7", "Roc Auc: 0.81", "Accuracy: 0.4893"),
    "a loss per label": GENERATED + listed("Loss: 0.2826", "Accuracy: 0.4462"),
}


@pytest.mark.parametrize("name", CONSISTENT)
def test_consistent_cards_are_never_accused(name: str) -> None:
    found = audit_text(CONSISTENT[name]).findings
    assert not [one for one in found if one.severity != "note"]
    assert not {one.code for one in found} & {"accuracy-in-context", "first-epoch-in-context"}


MEANS = table("class precision recall f1-score", "a 0.90 0.60 0.66", "b 0.9 0.6 0.66")
# No rule could tell these from wrong ones: a warning names the reading under which they hold.
DOUBTFUL = {
    "means over runs": (f"Three random seeds, averaged.\n{MEANS}", "means over several runs"),
    "F0.5": (f"F-score is F0.5.\n{MEANS.replace('0.66', '0.82')}", "if F is another than F1"),
    "medians": (
        "Each the median of five runs.\n\n"
        "- Macro precision: 0.80\n- Macro recall: 0.82\n- Macro F1: 0.83\n",
        "a median of runs",
    ),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_doubtful_figures_are_no_error_and_name_the_reading(name: str) -> None:
    text, reading = DOUBTFUL[name]
    found = [one for one in audit_text(text).findings if one.severity != "note"]
    assert found
    assert all(one.severity == "warning" and reading in one.text for one in found)
