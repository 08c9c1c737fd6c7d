"""One figure in several places: metadata, the Trainer's list, its table, other tables, prose."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from cardproof.audit.facts import CardFacts, Checked, Claim, Finding, Printed, TrainingRow
from cardproof.audit.numbers import agree, in_unit_of, nearly_agree
from cardproof.audit.records import mixed_columns
from cardproof.audit.vocabulary import kind_of
from cardproof.recipe.reported import PrintedFigure

_TELLING = 3  # digits without leading zeros: fewer agree by chance
# How far two evaluations of one model may differ, relative: batches of another size change the last
# digits of a loss, and ROUGE's means are bootstrapped.
_CLOSE = {"loss": 0.01, "rouge": 0.03, "bertscore": 0.03}
_SAME = 1e-4  # likewise, of other metrics
_COARSE = ("accuracy", "f1", "precision", "recall", "gen len", "exact match")
_CUT = "It holds if one of them was cut off, and not rounded."


def check_metadata_against_list(facts: CardFacts) -> Iterator[Finding | Checked]:
    """The model-index against the Trainer's list, which it writes from one evaluation."""
    listed = _by_key(claim for claim in facts.claims if claim.source == "results list")
    records = [
        (same, differing)
        for claims in _records(facts).values()
        for same, differing in [_compare(claims, listed)]
        if same or differing
    ]
    matching = [record for record in records if record[0]]
    if records and not matching:
        one, other = records[0][1][0]
        if len(records) > 1:
            yield _not_compared("none of the metadata's several results is that of the list", other)
            return
        if one.split == "test" and not other.split:
            why = "the metadata's figures are of test rows, the list's of the evaluation set"
            yield _not_compared(why, other)
            return
    for same, differing in matching or records:
        yield Checked("metadata against the list of results")
        for one, other in differing:
            yield _figures_differ(one, other, others_agree=bool(same))


def _not_compared(why: str, claim: Claim) -> Finding:
    """Figures of the list of results that no other figure could be held against."""
    figure = f"{claim.metric} {claim.printed.text}"
    return Finding("not-compared", "note", f"Not compared: {why}.", figure, claim.line)


def _records(facts: CardFacts) -> Mapping[str, list[Claim]]:
    """The author's own figures of the metadata, by evaluation; the hub's are of another."""
    records: dict[str, list[Claim]] = defaultdict(list)
    for claim in facts.claims:
        if claim.source == "metadata" and not claim.verified:
            records[claim.record].append(claim)
    return records


def _by_key(claims: Iterator[Claim] | Sequence[Claim]) -> dict[str, Claim]:
    """Claims by what they are of, those left out that have several values or are of training."""
    found: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        if claim.split != "train" or claim.source == "metadata":
            found[claim.key].append(claim)
    return {
        key: several[0]
        for key, several in found.items()
        if all(agree(one.printed.figure, several[0].printed.figure) for one in several)
    }


def _compare(
    claims: Sequence[Claim], listed: Mapping[str, Claim]
) -> tuple[list[Claim], list[tuple[Claim, Claim]]]:
    """The claims that agree with the list, and those that differ from it, each with its other."""
    same: list[Claim] = []
    differing: list[tuple[Claim, Claim]] = []
    for key, claim in _by_key(claims).items():
        other = listed.get(key)
        if other is None or (other.split and claim.split and other.split != claim.split):
            continue
        if _agree(claim, other):
            same.append(claim)
        else:
            differing.append((claim, other))
    return same, differing


def _agree(one: Claim, other: Claim) -> bool:
    figure, against = _in_one_unit(one, other)
    return agree(figure, against)


def _in_one_unit(one: Claim, other: Claim) -> tuple[PrintedFigure, PrintedFigure]:
    """Both figures; shares are read as such, and others may be a percentage in one place."""
    figure, against = one.printed.figure, other.printed.figure
    return figure if kind_of(one.metric) == "share" else in_unit_of(figure, against), against


def _telling(printed: Printed) -> bool:
    """Whether a figure has enough digits to agree with another not by chance."""
    digits = printed.text.strip("~≈% ").replace(".", "").replace(",", "").lstrip("0")
    return len(digits) >= _TELLING and printed.figure.value not in (0, 1)


def _figures_differ(one: Claim, other: Claim, *, others_agree: bool = False) -> Finding:
    figure, against = _in_one_unit(one, other)
    near = nearly_agree(figure, against)
    text = (
        f"It gives two values of {one.metric}: {one.printed.text} ({place(one)}) and "
        f"{other.printed.text} ({place(other)})."
    )
    if near:
        text = f"{text} {_CUT}"
    else:
        text += " They hold if they are of two evaluations: other rows, weights or settings"
        text += ", though other figures of the two places agree." if others_agree else "."
    return Finding(
        "figures-differ",
        "warning",
        text,
        f"{_short(figure.value, against.value)} is not {_short(against.value, figure.value)}",
        other.line,
    )


def _short(value: float, other: float) -> str:
    """A number in as few digits, from six on, as tell it from another."""
    apart = (n for n in range(6, 17) if f"{value:.{n}g}" != f"{other:.{n}g}")
    return f"{value:.{next(apart, 17)}g}"


def place(claim: Claim) -> str:
    """Where a figure stands, in words."""
    return f"{claim.source}, line {claim.line}"


def check_metric_twice(facts: CardFacts) -> Iterator[Finding]:
    """Two values of one metric in one result of the metadata."""
    for claims in _records(facts).values():
        said: set[str] = set()
        for one, other in combinations(claims[:100], 2):
            same = one.key == other.key and one.split == other.split and one.key not in said
            if same and not _agree(one, other):
                said.add(one.key)
                yield Finding(
                    "metric-twice",
                    "warning",
                    f"One result of its metadata gives {one.key} twice: {one.printed.text} and "
                    f"{other.printed.text}. They hold if they are of two things that it does not "
                    "name.",
                    f"lines {one.line} and {other.line}",
                    other.line,
                )


def check_prose_and_tables(facts: CardFacts) -> Iterator[Finding | Checked]:
    """The headline against sentences, JSON blocks and tables that give the same metric once."""
    sources = {
        source: _by_split(claim for claim in facts.claims if claim.source == source)
        for source in ("metadata", "results list", "JSON block", "table", "prose")
    }
    said: set[str] = set()
    repeated: set[tuple[str, str]] = set()
    compared = False
    for (name, ours), (other_name, theirs) in combinations(sources.items(), 2):
        if (name, other_name) == ("metadata", "results list"):
            continue  # has a check of its own
        for key in ours.keys() & theirs.keys():
            one, other = ours[key], theirs[key]
            if one.split and other.split and one.split != other.split:
                continue
            if name == "results list" and other.split == "test" and not one.split:
                continue  # the text tells its test rows from the "evaluation set" of the list
            if (other_name, key) in repeated:
                continue  # the metadata's figure once more, which has been compared with the list
            compared = True
            if _agree(one, other):
                repeated |= {(other_name, key)} if name == "metadata" else set()
            elif key not in said:
                said.add(key)
                yield _figures_differ(one, other)
    if compared:
        yield Checked("the same figure in several places")


def _by_split(claims: Iterator[Claim]) -> dict[str, Claim]:
    """What one kind of place says of the model as a whole, where it says it once."""
    plain = [claim for claim in claims if claim.subject is None and not claim.verified]
    found = _by_key(plain)
    splits = {key: {c.split for c in plain if c.key == key} for key in found}
    return {key: claim for key, claim in found.items() if len(splits[key]) == 1}


def check_headline_row(facts: CardFacts) -> Iterator[Finding | Checked]:
    """Which row of the training table the list of results is, and whether there is one."""
    shared, rows = _shared(facts)
    if not shared or mixed_columns(facts):
        return
    row, same = _nearest_row(shared, rows)
    differing = {key: claim for key, claim in shared.items() if key not in same}
    # A loss or a WER repeats a row's to the last digit only if it is of the same weights; an
    # accuracy on few rows may do so by chance, as may a second figure that follows from the first.
    of_row = any(_telling(shared[key].printed) and key not in _COARSE for key in same)
    why = "" if of_row else _why_a_row_may_be_missing(facts)
    if set(shared) == {"loss"}:
        why = why or "a loss alone may be of words masked anew"
    swapped = _swapped_row(shared, rows)
    if differing and not swapped and why:
        figures = ", ".join(f"{key} {claim.printed.text}" for key, claim in shared.items())
        claim = next(iter(differing.values()))
        yield _not_compared(f"its headline ({figures}) is in no row of its table; {why}", claim)
        return
    yield Checked("the list of results against the training table")
    if differing and swapped:
        yield _columns_swapped(*swapped)
    elif not all(_repeats(claim, _cells(row).get(key)) for key, claim in differing.items()):
        yield _in_no_row(shared, row, same)


def _shared(facts: CardFacts) -> tuple[dict[str, Claim], list[TrainingRow]]:
    """The figures of the list of results that have a column in a training table, and its rows."""
    listed = _by_key(claim for claim in facts.claims if claim.source == "results list")
    rows = [*facts.training_rows, *facts.further_rows]
    columns = {key for row in rows for key in _cells(row)}
    return {key: claim for key, claim in listed.items() if key in columns}, rows


def swapped_columns(facts: CardFacts) -> bool:
    """Whether some rows of the training table have losses in the column of another figure."""
    return mixed_columns(facts) or _swapped_row(*_shared(facts)) is not None


def _nearest_row(
    shared: Mapping[str, Claim], rows: Sequence[TrainingRow]
) -> tuple[TrainingRow, set[str]]:
    """The row with most figures of the list, of several the one whose others are nearest."""

    def gap(row: TrainingRow) -> float:
        cells = _cells(row)
        return sum(
            _gap(claim, cells[key]) if key in cells else 1.0 for key, claim in shared.items()
        )

    agreeing = [{key for key, claim in shared.items() if _in_row(claim, row)} for row in rows]
    best = min(range(len(rows)), key=lambda i: (-len(agreeing[i]), gap(rows[i])))
    return rows[best], agreeing[best]


def _swapped_row(
    shared: Mapping[str, Claim], rows: Sequence[TrainingRow]
) -> tuple[Claim, Claim, TrainingRow] | None:
    """A share and the loss of the list, and the row with each in the column of the other."""
    loss = shared.get("loss")
    for key, claim in shared.items():
        for row in rows:
            if loss and row.loss and kind_of(claim.metric) == "share" and key in row.scores:
                figure = claim.printed.figure
                there = agree(in_unit_of(row.loss.figure, figure), figure)
                if there and agree(row.scores[key].figure, loss.printed.figure):
                    return claim, loss, row
    return None


def _columns_swapped(claim: Claim, loss: Claim, row: TrainingRow) -> Finding:
    return Finding(
        "columns-swapped",
        "warning",
        f"Its headline has loss {loss.printed.text} and {claim.key} {claim.printed.text}, and its "
        f"table at {row_name(row)} has them the other way round. It holds only by chance.",
        f"{claim.key} {row.scores[claim.key].text}, loss {row.loss.text if row.loss else ''}",
        row.line,
    )


def _cells(row: TrainingRow) -> dict[str, Printed]:
    return {**row.scores, **({"loss": row.loss} if row.loss else {})}


def _in_row(claim: Claim, row: TrainingRow) -> bool:
    cell = _cells(row).get(claim.key)
    if cell is None or {cell.text, claim.printed.text} & {"1.0", "0.0"}:
        return cell is not None and cell.figure.value == claim.printed.figure.value
    return agree(in_unit_of(cell.figure, claim.printed.figure), claim.printed.figure)


def _why_a_row_may_be_missing(facts: CardFacts) -> str:
    """Why the row of the list may not be in the table; nothing if it reaches the end."""
    last, recipe = facts.training_rows[-1], facts.hyperparameters
    epoch = last.epoch.figure.value if last.epoch else 0.0
    if recipe.max_steps and last.step:
        done, end = last.step >= recipe.max_steps, f"step {last.step:,} of {recipe.max_steps:,}"
    elif recipe.epochs and epoch:
        done, end = epoch >= recipe.epochs - 0.005, f"epoch {epoch:g} of {recipe.epochs:g}"
    else:
        return "how long it was trained is not known, so a later row may be missing"
    return "" if done else f"the table ends at {end}, so a later row may be missing"


def _in_no_row(shared: Mapping[str, Claim], row: TrainingRow, agreeing: set[str]) -> Finding:
    """No row of the table has all figures of the list; the given row is the nearest."""
    cells = _cells(row)
    differing = [key for key in shared if key not in agreeing]
    key = next((key for key in differing if shared[key].metric != "loss"), differing[0])
    text = f"Its headline {key} {shared[key].printed.text} is in no row of its table"
    if agreeing:
        beside = [f"{key} {shared[key].printed.text}" for key in sorted(agreeing)[:3]]
        text += f" with {' and '.join(beside)}"
    else:
        text += ", which reaches the end of training"
    return Finding(
        "headline-not-in-table",
        "warning",
        f"{text}. It holds if it was evaluated again: on other rows, with other settings, or from "
        "other weights.",
        f"nearest, {row_name(row)} (line {row.line}): "
        + ", ".join(f"{k} {cells[k].text}" for k in shared if k in cells),
        shared[key].line,
    )


def _repeats(claim: Claim, cell: Printed | None) -> bool:
    """Whether a figure is what a second evaluation of the same weights may give."""
    if cell is None:
        return False
    close = next((far for name, far in _CLOSE.items() if claim.metric.startswith(name)), _SAME)
    return _gap(claim, cell) <= close


def _gap(claim: Claim, cell: Printed) -> float:
    """How far a figure of the list is from one of the table, relative to the latter."""
    value = in_unit_of(cell.figure, claim.printed.figure).value
    gap = abs(value - claim.printed.figure.value)
    return gap / abs(value) if value else float(gap > 0)


def row_name(row: TrainingRow) -> str:
    """A row of the training table in words."""
    if row.epoch:
        return f"epoch {row.epoch.figure.value:g}"
    return f"step {row.step:,}" if row.step is not None else "a row"
