"""What a card says, as facts: the one thing that reading produces and checks consume."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cardproof.recipe.reported import PrintedFigure

Source = Literal["metadata", "results list", "JSON block", "table", "prose"]
Split = Literal["train", "validation", "test"]
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Printed:
    """A figure and the text it was printed as.

    Attributes:
        text: as the card has it, e.g. `94%`.
        figure: the interval it stands for.
    """

    text: str
    figure: PrintedFigure


@dataclass(frozen=True)
class Claim:
    """A figure that the card claims for the model.

    Attributes:
        metric: one of `vocabulary.METRICS`, else the card's own name in lower case.
        printed: the figure; a share between 0 and 1 where the metric is one.
        source: the kind of place it stands in.
        line: its line in the document, from 1.
        average: binary, macro, micro, weighted or samples, where the card says so.
        split: the split it was scored on, where the card says so.
        subject: what it is of, if not of the model as a whole: a class, a baseline, a data set.
        record: the place that it shares with the other figures of one evaluation.
        verified: the hub evaluated the model itself, and not its author.
        one_of_several: its subject is only the data set, of several results of the metadata.
    """

    metric: str
    printed: Printed
    source: Source
    line: int
    average: str | None = None
    split: Split | None = None
    subject: str | None = None
    record: str = ""
    verified: bool = False
    one_of_several: bool = False

    @property
    def key(self) -> str:
        """What it is the figure of: metric, average and label, as columns are named, too."""
        label = None if self.one_of_several else self.subject
        return " ".join(filter(None, (self.average, label, self.metric)))


@dataclass(frozen=True)
class TrainingRow:
    """A row of the Trainer's table; None where the row has no number ("No log").

    Attributes:
        epoch: counted from 1 at the end of the first.
        step: optimizer steps so far.
        training_loss: mean since the log before.
        loss: of the evaluation.
        scores: its other columns by `Claim.key`, where they are numbers.
        line: its line in the document, from 1.
    """

    epoch: Printed | None
    step: int | None
    training_loss: Printed | None
    loss: Printed | None
    scores: Mapping[str, Printed]
    line: int = 1


@dataclass(frozen=True)
class Hyperparameters:
    """The recipe as far as it is stated; None where it is not."""

    learning_rate: float | None = None
    batch: int | None = None  # rows per device and forward pass
    devices: int | None = None
    accumulation: int | None = None  # forward passes per optimizer step
    total_batch: int | None = None  # rows per optimizer step, as stated
    epochs: float | None = None
    max_steps: int | None = None  # a stated limit, which is no count of what was done
    steps: int | None = None  # optimizer steps done, as the prose states them
    seed: int | None = None
    line: int = 1  # of the Trainer's list
    listed_epochs: float | None = None  # of the Trainer's list, a plain number there
    plain_batches: bool = False  # of one Trainer's list, batch and total batch plain numbers there

    @property
    def rows_per_step(self) -> int | None:
        """Rows that one optimizer step consumes."""
        if self.total_batch or not self.batch:
            return self.total_batch
        return self.batch * (self.devices or 1) * (self.accumulation or 1)


@dataclass(frozen=True)
class FrontMatter:
    """The metadata block at the head of a card.

    Attributes:
        state: whether there is one, and whether it is YAML. `flattened`: its line breaks are lost.
        detail: what the YAML parser said, for `broken`.
    """

    state: Literal["absent", "parsed", "flattened", "broken"]
    detail: str = ""
    licence: str | None = None
    base_models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    pipeline_tag: str | None = None


@dataclass(frozen=True)
class Task:
    """Which comparisons make sense.

    Attributes:
        imdb: sentiment of IMDb reviews, and of nothing else.
        binary: two classes.
        classification: one label per text.
        reason: why `imdb` was decided so.
    """

    imdb: bool
    binary: bool
    classification: bool
    reason: str


@dataclass(frozen=True)
class TestRows:
    """The rows that the card says it was scored on.

    Attributes:
        rows: how many.
        classes: rows of class 1 and of class 0, if stated.
        quote: where it says so.
    """

    __test__ = False  # no test class, whatever pytest makes of the name

    rows: int
    classes: tuple[int, int] | None
    quote: str


@dataclass(frozen=True)
class Quote:
    """A passage of the document and its line, from 1."""

    text: str
    line: int


@dataclass(frozen=True)
class ReportRow:
    """A class or an average of a classification report.

    Attributes:
        label: the class, or such as `macro avg`.
        average: macro, weighted, micro, samples or other, for a row that is an average.
        scores: precision, recall and F1, by name.
        line: in the document, from 1.
    """

    label: str
    average: str | None
    scores: Mapping[str, Printed]
    line: int


@dataclass(frozen=True)
class Report:
    """A classification report.

    Attributes:
        line: of its head, from 1.
        rows: its classes and averages.
        accuracy: of its last lines, if it has one.
    """

    line: int
    rows: tuple[ReportRow, ...]
    accuracy: Printed | None

    @property
    def classes(self) -> tuple[ReportRow, ...]:
        """The rows that are classes."""
        return tuple(row for row in self.rows if row.average is None)


@dataclass(frozen=True)
class CardFacts:
    """Everything that is read from one card.

    Attributes:
        generated: the Trainer wrote it, so that figures are rounded to four decimals and lose
            trailing zeros.
        licence: from metadata or prose; None if neither states one.
        base: likewise the model it was fine-tuned from.
        dataset: likewise the data.
        further_rows: those of its other training tables.
        reports: its classification reports.
        splits: splits that metadata or JSON name for their figures.
        mentions_test: the text says that it was scored on a test set.
        multi_label: rows may have several labels.
        loss_is_plain: nothing hints at a loss other than the mean cross-entropy.
        problems: what could not be read, in words.
    """

    generated: bool
    front_matter: FrontMatter
    claims: tuple[Claim, ...]
    training_rows: tuple[TrainingRow, ...]
    further_rows: tuple[TrainingRow, ...]
    reports: tuple[Report, ...]
    hyperparameters: Hyperparameters
    task: Task
    licence: str | None
    base: str | None
    dataset: str | None
    splits: tuple[Quote, ...]
    mentions_test: bool
    test_rows: TestRows | None
    train_rows: Printed | None
    placeholders: tuple[Quote, ...]
    multi_label: bool
    loss_is_plain: bool
    problems: tuple[str, ...] = field(default=())

    def headline(self, metric: str) -> Claim | None:
        """The claim of a metric for the model as a whole; the first in the order of `Source`."""
        order = ("metadata", "results list", "JSON block", "table", "prose")
        of_model = [
            claim
            for claim in self.claims
            if claim.metric == metric and claim.subject is None and claim.split != "train"
        ]
        of_model += [  # metadata says "train" of evaluation figures often enough: better than none
            claim
            for claim in self.claims
            if claim.metric == metric and claim.split == "train" and claim.source == "metadata"
        ]
        return min(of_model, key=lambda claim: order.index(claim.source), default=None)


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        code: a short stable name, such as `training-rows`.
        severity: `error` is of figures of one list that cannot all hold, whatever is meant by
            them; `warning` is suspicious, and its text names the reading under which the card
            would hold; `note` follows, and accuses nobody.
        text: the finding in plain words.
        arithmetic: the numbers it is computed from, or the place that shows it.
        line: where it stands in the document, from 1.
    """

    code: str
    severity: Severity
    text: str
    arithmetic: str
    line: int = 1


@dataclass(frozen=True)
class Checked:
    """What a check compared, in words, whether or not it found anything."""

    what: str
