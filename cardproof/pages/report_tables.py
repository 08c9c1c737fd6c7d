"""The tables of a report and of its model card."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cardproof.claims.judge import JudgedClaim
from cardproof.evaluation.error_analysis import (
    ConfidentError,
    CoveragePoint,
    LengthBucket,
    Subset,
)
from cardproof.pages.explanations import shorten
from cardproof.pages.formats import NONE, confidence, interval, number, percent
from cardproof.pages.settings import Setting, label_names
from cardproof.pages.tables import Cell, Column, ColumnOf, Pair, Table, Tagged, make_table
from cardproof.recipe.reported import parse_figure
from cardproof.runs.findings import Analysis, Findings
from cardproof.runs.reading import Run

# of a row of a card's per-epoch table
_EPOCH_FIELDS = ("training_loss", "epoch", "step", "validation_loss", "accuracy")
_DUPLICATES = {
    "train": "among the training rows",
    "validation": "among the validation rows",
    "repeats": "repeats an earlier scored one",
    "any": "any of these",
}
BINS = (
    "Bins of confidence, without temperature scaling. The expected calibration error is the mean "
    "gap, weighted by rows."
)
COVERAGE = "Coverage is the share of reviews that are answered, the most confident ones."
LENGTH = "Length in tokens before truncation, [CLS] and [SEP] included."
DUPLICATE = "Two texts are duplicates if they are the same to the character."


def claims_table(findings: Findings) -> Table:
    """Each score and loss that the card claims, its verdict and the reason."""
    over_rows = findings.intervals
    return make_table(
        "claims and verdicts",
        "“Other test rows”: a 95 % interval of this very model’s figure on other rows of the same "
        "kind.",
        [
            ("figure", "head", lambda c: c.name),
            ("claimed", "claimed", lambda c: c.printed),
            ("measured", "measured", lambda c: c.full or NONE),
            ("difference", "number*", _difference),
            ("other test rows", "number*",
             lambda c: interval(over_rows.get(c.metric.removeprefix("evaluate.")))),
            ("verdict", "tag", lambda c: c.verdict.word),
        ],
        findings.claims,
        detail=lambda c: c.verdict.reason,
    )  # fmt: skip


def checks_table(findings: Findings) -> Table:
    """Counts and times that the card claims, beside the run's."""
    return make_table(
        "checks of the recipe",
        "Figures that the recipe fixes, or the machine: seeds do not move them.",
        [
            ("figure", "head", lambda c: c.name),
            ("claimed", "claimed", lambda c: c.printed),
            ("measured", "measured", lambda c: c.shown or NONE),
            ("check", "tag", lambda c: c.word),
        ],
        findings.checks,
        detail=lambda c: "" if c.word == "matches" else c.reason,
    )


def _difference(claim: JudgedClaim) -> str:
    """In the claim's own unit: points of a percentage, or plain."""
    difference, claimed = claim.difference, claim.claimed
    if difference is None or claimed is None:
        return NONE
    if claim.printed.rstrip().endswith("%"):
        text = f"{100 * difference:+.2f} points"
    else:
        text = f"{difference:+.4f}"
    return text if any(digit in text for digit in "123456789") else "0"


def epochs_table(findings: Findings, *, with_card: bool) -> Table:
    """The per-epoch table of this run; `with_card` each figure beside the card's own."""
    ours = {e["epoch"] or 0.0: _printed_epoch(e) for e in findings.outputs.epochs}
    rows = findings.outputs.run.recipe.card.claims.epochs if with_card else []
    card = {parse_figure(row[1]).value: dict(zip(_EPOCH_FIELDS, row, strict=True)) for row in rows}
    fields = [field for field in _EPOCH_FIELDS if field != "epoch"]

    def cell(epoch: float, field: str) -> Cell:
        measured = ours.get(epoch, {}).get(field, NONE)
        return Pair(card.get(epoch, {}).get(field, NONE), measured) if card else measured

    epochs = sorted({*ours, *card})
    return Table(
        "per-epoch results",
        "The card’s figures → this run’s." if card else "",
        [Column("epoch", "head")]
        + [Column(field.replace("_", " "), "number" if card else "measured") for field in fields],
        [[f"{epoch:g}", *(cell(epoch, field) for field in fields)] for epoch in epochs],
    )


def _printed_epoch(row: Mapping[str, float | None]) -> dict[str, str]:
    """An epoch's figures as text; a training loss of no full logging interval is none."""
    printed = {field: number(row[field]) for field in ("validation_loss", "accuracy")}
    logged = "No log" if row["training_loss"] is None else number(row["training_loss"])
    return printed | {"training_loss": logged, "step": f"{row['step']:,.0f}"}


def analysis_tables(found: Analysis) -> dict[str, Table]:
    """Accuracy by confidence, coverage and length, and without duplicates; by these words."""

    def length(b: LengthBucket) -> str:
        last = f"over {b.first - 1}" if b.last is None else f"{b.first} to {b.last}"
        return f"up to {b.last}" if b.first == 1 else last

    bins: list[ColumnOf[dict[str, float]]] = [
        ("rows", "number", lambda b: f"{b['rows']:,}"),
        ("mean confidence", "number", lambda b: percent(b["confidence"], 1)),
        ("accuracy", "measured", lambda b: percent(b["accuracy"], 1)),
        ("gap, points", "number", lambda b: f"{100 * (b['confidence'] - b['accuracy']):+.1f}"),
    ]
    coverage: list[ColumnOf[CoveragePoint]] = [
        ("coverage", "number", lambda p: percent(p.coverage, 0)),
        ("reviews", "number", lambda p: f"{p.rows:,}"),
        ("accuracy", "measured", lambda p: percent(p.accuracy)),
        ("least confidence", "number", lambda p: number(p.least_confidence)),
    ]
    lengths: list[ColumnOf[LengthBucket]] = [
        ("tokens", "head", length),
        ("reviews", "number", lambda b: f"{b.rows:,}"),
        ("accuracy", "measured", lambda b: percent(b.accuracy, 1)),
        ("95 % interval", "number",
         lambda b: f"{100 * b.interval.low:.1f} to {100 * b.interval.high:.1f}"),
        ("truncated tokens", "number", lambda b: percent(b.truncated_tokens, 1)),
    ]  # fmt: skip
    duplicates: list[ColumnOf[tuple[str, Subset]]] = [
        ("scored text", "head", lambda of: of[0]),
        ("reviews", "number", lambda of: f"{of[1].rows:,}"),
        ("accuracy on them", "number", lambda of: percent(of[1].accuracy)),
        ("accuracy without them", "measured", lambda of: percent(of[1].accuracy_of_others)),
    ]
    kinds = [
        (said, found.duplicates[k]) for k, said in _DUPLICATES.items() if k in found.duplicates
    ]
    return {
        "confidence": make_table("accuracy by confidence", BINS, bins, found.calibration.bins),
        "coverage": make_table("accuracy by coverage", COVERAGE, coverage, found.coverage),
        "length": make_table("accuracy by length", LENGTH, lengths, found.lengths),
        "duplicates": make_table("duplicates", DUPLICATE, duplicates, kinds),
    }


def errors_table(findings: Findings) -> Table:
    """The most confident errors with their texts."""
    recipe = findings.outputs.run.recipe
    names = label_names(recipe.card)
    file = "test" if recipe.split.scored_set == "test" else "train"

    def label(e: ConfidentError) -> Tagged:
        return Tagged(names[e.label], "possible label issue" if e.label_issue else "")

    table = make_table(
        "most confident errors",
        f"“Row” is the review’s number, from 0, in the file of {file} reviews; of long texts the "
        "start and the end are shown.",
        [
            ("row and text", "head", lambda e: f"{findings.outputs.scored.rows[e.index]:,}"),
            ("label", "text", label),
            ("predicted", "text", lambda e: names[e.predicted]),
            ("confidence", "number", lambda e: confidence(e.confidence)),
        ],
        findings.analysis.errors,
    )
    texts = [shorten(text) or "(without its text here)" for text in findings.texts]
    return Table(table.name, table.caption, table.columns, table.rows, texts)


def settings_table(settings: Sequence[Setting]) -> Table:
    """The recipe, value by value."""
    return make_table(
        "recipe",
        "",
        [
            ("key", "code", lambda s: s.key),
            ("card", "text", lambda s: s.card),
            ("this run", "text", lambda s: s.ours),
            ("status", "tag", lambda s: s.status),
            ("reason", "soft", lambda s: s.reason or NONE),
        ],
        settings,
    )


def data_table(run: Run) -> Table:
    """What each row set is made of."""
    metrics = run.metrics

    def figure(key: str, show: str, scale: float = 1) -> str:
        return show.format(scale * metrics[key])

    return make_table(
        "row sets",
        "",
        [
            ("set", "head", lambda name: name),
            ("reviews", "number", lambda n: figure(f"split.{n}_rows", "{:,.0f}")),
            ("positive", "number", lambda n: figure(f"split.{n}_positive_share", "{:.1f} %", 100)),
            ("repeat an earlier text", "number", lambda n: figure(f"split.{n}_repeats", "{:.0f}")),
            ("mean tokens", "number", lambda n: figure(f"tokenize.{n}_mean_length", "{:.0f}")),
            ("truncated reviews", "number",
             lambda n: figure(f"tokenize.{n}_reviews_truncated", "{:.1f} %", 100)),
            ("truncated tokens", "number",
             lambda n: figure(f"tokenize.{n}_tokens_truncated", "{:.1f} %", 100)),
        ],
        [name for name in ("train", "validation", "test") if f"split.{name}_rows" in metrics],
    )  # fmt: skip


def scores_table(findings: Findings) -> Table:
    """The claims of the model card; of a card without any, accuracy and loss."""
    if findings.claims:
        table = claims_table(findings).only("figure", "claimed", "measured", "verdict")
        return replace(table, caption="")  # which is of a column that is left out
    metrics = findings.outputs.run.metrics
    return make_table(
        "results",
        "",
        [
            ("figure", "head", lambda of: of[0]),
            ("measured", "measured", lambda of: number(metrics.get(f"evaluate.{of[1]}"))),
        ],
        [("accuracy", "accuracy"), ("cross-entropy loss", "loss")],
    )
