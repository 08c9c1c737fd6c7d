"""What an analysis found, in a sentence or two each, and reviews made fit to be shown."""

import re
import unicodedata

from cardproof.evaluation.error_analysis import Calibration
from cardproof.pages.formats import count, percent
from cardproof.recipe.schema import Split
from cardproof.runs.findings import Analysis, Findings

SHOWN_START, SHOWN_END = 180, 120  # characters of a review: a verdict often stands at its end
ABOUT = 0.005  # a mean confidence this near to the accuracy counts as calibrated


def explain(findings: Findings) -> dict[str, str]:
    """The sentences of the page, by section."""
    found, outputs = findings.analysis, findings.outputs
    recipe = outputs.run.recipe
    rows = len(outputs.validation.labels) if outputs.validation else 0
    return {
        "calibration": f"{explain_calibration(found.calibration)} "
        f"{explain_temperature(found, rows, recipe.split)}",
        "selective": explain_selective(found),
        "lengths": explain_lengths(found, recipe.tokenize.max_length),
        "errors": explain_errors(found),
        "label_issues": explain_label_issues(found),
        "duplicates": explain_duplicates(found),
    }


def explain_calibration(c: Calibration) -> str:
    """Whether the model is as confident as it is right."""
    much = c.confidence - c.accuracy
    how = "overconfident" if much > 0 else "underconfident"
    return (
        f"Mean confidence {percent(c.confidence)}, accuracy {percent(c.accuracy)}: on average the "
        f"model is {'well calibrated' if abs(much) < ABOUT else how}. Expected calibration error: "
        f"{c.error:.3f}."
    )


def explain_temperature(found: Analysis, rows: int, split: Split) -> str:
    """What temperature scaling does, or why there is none; `rows` are those it is fitted on."""
    if found.temperature is None and split.validation_set is None:
        return "No temperature is fitted: this run validates on no rows."
    if found.temperature is None:
        return (
            "No temperature is fitted: the validation rows are the scored rows, and a temperature "
            "fitted on those would be fitted on the test."
        )
    on = count(rows, "validation row")
    if found.scaled is None:
        favours = "no wrong label" if found.temperature.outcome == "all right" else (
            "wrong labels as much as right ones"
        )  # fmt: skip
        return f"No temperature is fitted: the model favours {favours} on the {on}."
    return (
        f"With a temperature of {found.temperature.temperature:.3g}, fitted on {on}, the "
        f"calibration error is {found.scaled.error:.3f} (without: {found.calibration.error:.3f}) "
        f"and the loss {found.scaled.loss:.4f} (without: {found.calibration.loss:.4f})."
    )


def explain_selective(found: Analysis) -> str:
    """What rejecting the least confident rows would gain."""
    rows = len(found.selective)
    if rows == 1:
        return "A single review was scored: there is none to reject."
    if found.tied:
        return "The model is equally confident in every review: none is the first to reject."
    fewer = [p for p in found.coverage if p.rows < rows]
    point = min(fewer, key=lambda p: abs(p.coverage - 0.8))
    return (
        f"Accuracy is {percent(point.accuracy)} on the {percent(point.rows / rows, 0)} of reviews "
        f"with the highest confidence, and {percent(found.coverage[0].accuracy)} on all."
    )


def explain_lengths(found: Analysis, max_length: int) -> str:
    """What truncation does to long reviews."""
    of, limit = found.truncated, f"the {max_length} tokens that the model reads"
    if of.accuracy is None:
        return f"No review is longer than {limit}: none is truncated."
    if of.accuracy_of_others is None or found.truncation_p is None:
        return f"Every review is longer than {limit}; accuracy on them is {percent(of.accuracy)}."
    rows = of.rows + of.others
    word = "more than chance explains" if found.truncation_p < 0.05 else "which may be chance"
    p = "p < 0.001" if found.truncation_p < 0.001 else f"p = {found.truncation_p:.3f}"
    return (
        f"Accuracy is {percent(of.accuracy)} on reviews longer than {limit} ({of.rows:,} of "
        f"{rows:,}, {percent(of.rows / rows, 1)}) and {percent(of.accuracy_of_others)} on the "
        f"others: a difference of {100 * (of.accuracy - of.accuracy_of_others):+.2f} points, "
        f"{word} (Fisher’s exact test, {p})."
    )


def explain_errors(found: Analysis) -> str:
    """How many errors, and how many are listed."""
    rows = len(found.selective)
    wrong = rows - round(found.calibration.accuracy * rows)
    return f"{count(wrong, 'error')} on {count(rows, 'review')}, {len(found.errors)} listed."


def explain_label_issues(found: Analysis) -> str:
    """How many labels are likely wrong, and how many of these are among the listed errors."""
    if None in found.label_issues.thresholds:
        return "Only one label was scored, so confident learning can find none."
    issues = count(int(found.label_issues.rows.sum()), "possible label issue")
    listed = sum(error.label_issue for error in found.errors)
    return (
        f"Confident learning finds {issues}, of which {listed} among the errors above: worth a "
        "look, no proof that the label is wrong."
    )


def explain_duplicates(found: Analysis) -> str:
    """What the accuracy owes to texts that the model may have seen."""
    effects, rows = found.duplicates, len(found.selective)
    sets = "training or validation rows" if "validation" in effects else "training rows"
    if effects["any"].rows == 0:
        return f"No scored text is among the {sets}, and none is scored twice."
    without = effects["any"].accuracy_of_others
    then = "no row is left" if without is None else f"accuracy is {percent(without)}"
    return (
        f"Of {count(rows, 'scored text')}, {effects['overlap'].rows:,} also among the {sets}, "
        f"{effects['repeats'].rows:,} repeating an earlier one. Without these {then} (with them: "
        f"{percent(found.calibration.accuracy)})."
    )


def shorten(text: str) -> str:
    """A review's start and end on one line, without marks that steer a page or its direction."""
    # Wide ends are taken first, so that a huge review costs no more than a small one.
    long = len(text) > 10 * (SHOWN_START + SHOWN_END)
    parts = [text[: 10 * SHOWN_START], text[-10 * SHOWN_END :]] if long else [text]
    clean = [_one_line(part) for part in parts]
    if not long and len(clean[0]) <= SHOWN_START + SHOWN_END:
        return clean[0]
    start, end = clean[0][: SHOWN_START + 1], clean[-1][-SHOWN_END - 1 :]
    # whole words, if there are any
    return f"{start.rpartition(' ')[0] or start[:-1]} … {end.partition(' ')[2] or end[1:]}"


def _one_line(text: str) -> str:
    text = re.sub(r"<br\s*/?>", " ", text)  # the reviews are full of it
    # Unicode's categories C: control and format characters, NUL and the marks of direction too
    kept = (" " if unicodedata.category(c).startswith("C") else c for c in text)
    return " ".join("".join(kept).split())
