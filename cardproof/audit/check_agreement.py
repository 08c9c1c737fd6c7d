"""One figure in several places: metadata, the Trainer's list, its table, other tables, prose."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise, product

from cardproof.audit.facts import CardFacts, Checked, Claim, Finding, Printed, TrainingRow
from cardproof.audit.numbers import agree, in_unit_of, nearly_agree, read_number
from cardproof.audit.records import mixed_columns
from cardproof.audit.vocabulary import kind_of
from cardproof.recipe.reported import PrintedFigure

_TELLING = 3  # digits without leading zeros: fewer agree by chance
# How far two evaluations of one model may differ, relative: batches of another size change the last
# digits, and ROUGE's means are bootstrapped.
_CLOSE = {"rouge": 0.03, "bertscore": 0.03}
_SAME = 0.01  # likewise, of other metrics
_MUCH = 0.1  # a row is unlike the one before if it is farther off than this, relative


def check_metadata_against_list(facts: CardFacts) -> Iterator[Finding | Checked]:
    """The model-index against the Trainer's list, which it writes from one evaluation."""
    listed = _by_key(claim for claim in facts.claims if claim.source == "results list")
    records = [_compare(claims, listed) for claims in _records(facts).values()]
    differing = [pair for _, pairs in records for pair in pairs]
    if differing and not any(same for same, _ in records):
        yield _two_values(*differing[0])
    for same, pairs in records:
        if same:
            yield Checked("metadata against the list of results")
        telling = [claim for claim in same if _telling(claim.printed)]
        if telling:
            yield from (_figures_differ(*pair, telling[0]) for pair in pairs)


def not_compared(why: str, claim: Claim) -> Finding:
    """Figures that no other figure could be held against."""
    figure = f"{claim.metric} {claim.printed.text}"
    return Finding("not-compared", "note", f"Not compared: {why}.", figure, claim.line)


def _two_values(one: Claim, other: Claim) -> Finding:
    """Figures of two places none of whose figures agree: they may be of two evaluations."""
    values = (
        f"{one.key} {one.printed.text} ({place(one)}) and {other.printed.text} ({place(other)})"
    )
    return not_compared(f"{values} may be of two evaluations", other)


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
        if agree(*_in_one_unit(claim, other)):
            same.append(claim)
        elif _differ(claim, other):
            differing.append((claim, other))
    return same, differing


def _differ(one: Claim, other: Claim) -> bool:
    """Whether two figures are more apart than one cut off instead of rounded, or scored again."""
    return not nearly_agree(*_in_one_unit(one, other)) and not _repeats(one, other.printed)


def _in_one_unit(one: Claim, other: Claim) -> tuple[PrintedFigure, PrintedFigure]:
    """Both figures; shares are read as such, and others may be a percentage in one place."""
    figure, against = one.printed.figure, other.printed.figure
    return figure if kind_of(one.metric) == "share" else in_unit_of(figure, against), against


def _telling(printed: Printed) -> bool:
    """Whether a figure has enough digits to agree with another not by chance."""
    digits = printed.text.strip("~≈% ").replace(".", "").replace(",", "").lstrip("0")
    return len(digits) >= _TELLING and printed.figure.value not in (0, 1)


def _figures_differ(one: Claim, other: Claim, agreeing: Claim) -> Finding:
    figure, against = _in_one_unit(one, other)
    return Finding(
        "figures-differ",
        "warning",
        f"It gives two values of {one.key}: {one.printed.text} ({place(one)}) and "
        f"{other.printed.text} ({place(other)}), though both places have {agreeing.key} "
        f"{agreeing.printed.text}. They hold if they are of two evaluations or two averages.",
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
            if same and _differ(one, other):
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
            if not _differ(one, other):
                compared = True
                repeated |= {(other_name, key)} if name == "metadata" else set()
            elif key not in said:
                said.add(key)
                yield _two_values(one, other)
    if compared:
        yield Checked("the same figure in several places")


def _by_split(claims: Iterator[Claim]) -> dict[str, Claim]:
    """What one kind of place says of the model as a whole, where it says it once."""
    plain = [claim for claim in claims if claim.subject is None and not claim.verified]
    found = _by_key(plain)
    splits = {key: {c.split for c in plain if c.key == key} for key in found}
    return {key: claim for key, claim in found.items() if len(splits[key]) == 1}


def check_headline_row(facts: CardFacts) -> Iterator[Finding | Checked]:
    """Whether the list of results is a row of the training table, where its loss says which."""
    shared, rows = shared_figures(facts)
    if not shared or swapped_columns(facts):
        return
    row, same = _nearest_row(shared, rows)
    cells = _cells(row)
    others = {key: claim for key, claim in shared.items() if key not in same}
    differing = [key for key, claim in others.items() if not _repeats(claim, cells.get(key))]
    if same and not differing:
        yield Checked("the list of results against the training table")
        return
    # Only a loss repeats a row's to the last digit if it is of the same weights and rows, and of
    # no others: accuracies and error rates on few rows do so by chance.
    of_row = "loss" in same and _telling(shared["loss"].printed)
    why = _why_a_row_may_be_missing(facts)
    if not of_row or why:
        figures = ", ".join(f"{key} {claim.printed.text}" for key, claim in shared.items())
        why = why or "it may be of another evaluation"
        claim = shared[[*differing, *others][0]]
        yield not_compared(f"its headline ({figures}) is in no row of its table; {why}", claim)
        return
    yield Checked("the list of results against the training table")
    yield _in_no_row(shared, row, differing)


def check_swapped_columns(facts: CardFacts) -> Iterator[Finding]:
    """Rows of the training table with the loss in the column of a share, and the reverse."""
    shared, rows = shared_figures(facts)
    found = _swapped_from_row(rows) or _swapped_row(shared, rows)
    if found:
        key, row, against = found
        figures = f"{key} {row.scores[key].text}, loss {row.loss.text if row.loss else ''}"
        yield Finding(
            "columns-swapped",
            "warning",
            f"In its training table {key} and loss are swapped at {row_name(row)}: {figures}, "
            f"against {against}. It holds only by chance.",
            figures,
            row.line,
        )


def shared_figures(facts: CardFacts) -> tuple[dict[str, Claim], list[TrainingRow]]:
    """The figures of the list of results that have a column in a training table, and its rows.

    The length of generated texts is left out, which is no score.
    """
    listed = _by_key(claim for claim in facts.claims if claim.source == "results list")
    rows = [*facts.training_rows, *facts.further_rows]
    columns = {key for row in rows for key in _cells(row)} - {"gen len"}
    return {key: claim for key, claim in listed.items() if key in columns}, rows


def swapped_columns(facts: CardFacts) -> bool:
    """Whether some rows of the training table have losses in the column of another figure."""
    return mixed_columns(facts) or _swapped_row(*shared_figures(facts)) is not None


def _nearest_row(
    shared: Mapping[str, Claim], rows: Sequence[TrainingRow]
) -> tuple[TrainingRow, set[str]]:
    """The row with most figures of the list, of several the one whose others are nearest."""

    def gap(row: TrainingRow) -> float:
        cells = _cells(row)
        return sum(
            _gap(claim, cells[key]) if key in cells else 1.0 for key, claim in shared.items()
        )

    agreeing = [{key for key, claim in shared.items() if in_row(claim, row)} for row in rows]
    best = min(range(len(rows)), key=lambda i: (-len(agreeing[i]), gap(rows[i])))
    return rows[best], agreeing[best]


_Swapped = tuple[str, TrainingRow, str]  # the share, the row, and what has them in place


def _swapped_row(shared: Mapping[str, Claim], rows: Sequence[TrainingRow]) -> _Swapped | None:
    """A row with a share and the loss of the list, each in the column of the other."""
    loss = shared.get("loss")
    shares = [one for one in shared.items() if kind_of(one[1].metric) == "share"]
    for (key, claim), row in product(shares, rows):
        if not (loss and row.loss and key in row.scores) or in_row(claim, row) or in_row(loss, row):
            continue
        figure, score = claim.printed.figure, row.scores[key]
        there = agree(in_unit_of(row.loss.figure, figure), figure)
        telling = all(map(_telling, (claim.printed, loss.printed, score, row.loss)))
        if there and telling and agree(score.figure, loss.printed.figure):
            text = f"{key} {claim.printed.text}, loss {loss.printed.text} in the headline"
            return key, row, text
    return None


def _swapped_from_row(rows: Sequence[TrainingRow]) -> _Swapped | None:
    """The first row with a share above 1 that goes on with the loss of the row before."""
    for before, row in pairwise(rows):
        for key in before.scores.keys() & row.scores.keys():
            old, new = (read_number(one.scores[key].text) for one in (before, row))
            if not (old and new and before.loss and row.loss and kind_of(key) == "share"):
                continue
            old_loss, loss = before.loss.figure.value, row.loss.figure.value
            score, old_score = new.figure.value, old.figure.value
            crossed = old_score < 1 < old_loss and loss < 1 < score
            near = abs(score - old_loss) < _MUCH * old_loss
            if crossed and near and abs(loss - old_score) < _MUCH * old_score:
                text = f"{key} {old.text}, loss {before.loss.text} at {row_name(before)}"
                return key, row, text
    return None


def _cells(row: TrainingRow) -> dict[str, Printed]:
    return {**row.scores, **({"loss": row.loss} if row.loss else {})}


def in_row(claim: Claim, row: TrainingRow) -> bool:
    """Whether a figure of the list is that of a row, to the last digit."""
    cell = _cells(row).get(claim.key)
    if cell is None or {cell.text, claim.printed.text} & {"1.0", "0.0"}:
        return cell is not None and cell.figure.value == claim.printed.figure.value
    return agree(in_unit_of(cell.figure, claim.printed.figure), claim.printed.figure)


def _why_a_row_may_be_missing(facts: CardFacts) -> str:
    """Why the row of the list may not be in the table; nothing if it reaches the end."""
    if facts.further_rows:
        return "it has tables of several trainings"
    last, recipe = facts.training_rows[-1], facts.hyperparameters
    epoch = last.epoch.figure.value if last.epoch else 0.0
    if recipe.max_steps and last.step:
        done, end = last.step >= recipe.max_steps, f"step {last.step:,} of {recipe.max_steps:,}"
    elif recipe.listed_epochs and epoch:
        planned = recipe.listed_epochs
        done, end = epoch >= planned - 0.005, f"epoch {epoch:g} of {planned:g}"
    else:
        return "how long it was trained is not known, so a later row may be missing"
    return "" if done else f"the table ends at {end}, so a later row may be missing"


def _in_no_row(shared: Mapping[str, Claim], row: TrainingRow, differing: Sequence[str]) -> Finding:
    """The loss of the list is that of a row, and other figures are not."""
    cells, key = _cells(row), differing[0]
    text = f"Its headline {key} {shared[key].printed.text} is not that of the row of its table with"
    return Finding(
        "headline-differs-from-row",
        "warning",
        f"{text} loss {shared['loss'].printed.text}. It holds if it was evaluated again: on other "
        "rows, with other settings, or from other weights.",
        f"{row_name(row)} (line {row.line}): "
        + ", ".join(f"{k} {cells[k].text}" for k in shared if k in cells),
        shared[key].line,
    )


def _repeats(claim: Claim, cell: Printed | None) -> bool:
    """Whether a figure is what a second evaluation of the same weights may give."""
    if cell is None:
        return False
    close = next((far for name, far in _CLOSE.items() if name in claim.key), _SAME)
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
