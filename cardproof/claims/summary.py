"""A run in a few figures, and what became of its card in a sentence."""

from collections.abc import Callable, Sequence

from cardproof.claims.judge import AVERAGED, JudgedClaim, Metrics
from cardproof.recipe.schema import Recipe
from cardproof.text import listed


def summarised_metrics(averaging: str | None) -> dict[str, str]:
    """What a summary holds of a run's metrics: "<file>.<key>" by its short names for them.

    Args:
        averaging: of F1, precision and recall, as the card has it.
    """
    names = {"accuracy": "evaluate.accuracy", "loss": "evaluate.loss"}
    names |= {key: f"evaluate.{key}_{averaging or 'binary'}" for key in AVERAGED}
    names |= {key: f"evaluate.{key}" for key in ("roc_auc", "calibration_error")}
    names |= {"scored_rows": "evaluate.rows", "train_rows": "split.train_rows"}
    return names | {"steps": "train.steps", "best_epoch": "train.best_epoch"}


def summarise_run(
    recipe: Recipe, metrics: Metrics, judged: Sequence[JudgedClaim]
) -> dict[str, float | str]:
    """The figures that people compare runs by, the most asked for first; five decimals.

    Returns:
        By short names. `claimed` is of accuracy, and `verdict` too, or of the loss where no
        accuracy is claimed. What the card does not claim or the run does not have has no key.
    """
    names = summarised_metrics(recipe.card.claims.averaging)
    claims = {c.key: c for c in judged}
    accuracy, loss = claims.get("accuracy"), claims.get("loss")
    headline = accuracy or loss
    first: dict[str, float | str | None] = {
        "accuracy": metrics.get("evaluate.accuracy"),
        "claimed": accuracy.claimed.value if accuracy and accuracy.claimed else None,
        "verdict": headline.verdict.word if headline else None,
        "loss": metrics.get("evaluate.loss"),
        "f1": metrics.get(names["f1"]),
        "claimed_loss": loss.claimed.value if loss and loss.claimed else None,
        "loss_verdict": loss.verdict.word if loss else None,
    }
    figures = first | {short: metrics.get(name) for short, name in names.items()}
    rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()}
    return {key: value for key, value in rounded.items() if value is not None}


def verdict_sentence(claims: Sequence[JudgedClaim]) -> str:
    """What our runs say of the card as a whole; the first word or two are the verdict.

    A card is reproduced if every figure is: a wrong one passes at most at the error rate of a
    single figure. It is not, if any figure is higher or lower: a card of true figures is denied at
    most at the error rate of all of them together.
    """
    judged = [claim for claim in claims if claim.claimed is not None]
    measured = [claim for claim in judged if claim.values]
    if not judged:
        ours = ", ".join(f"{c.name} {c.full}" for c in claims if c.values)
        return f"No claim to judge{': measured ' + ours if ours else ''}."
    if not measured:
        return f"Not measured: {', '.join(claim.name for claim in judged)}."
    return _OF_WORD[_overall(measured)](measured)


def _overall(measured: Sequence[JudgedClaim]) -> str:
    """The first word that any figure has, from the worst to the best."""
    words = {claim.verdict.word for claim in measured}
    return next(word for word in _OF_WORD if word in words)


def _not_comparable(measured: Sequence[JudgedClaim]) -> str:
    return f"Not comparable: {_beside(measured)}. {measured[0].verdict.reason}"


def _not_reproduced(measured: Sequence[JudgedClaim]) -> str:
    wrong = [claim for claim in measured if claim.verdict.word in ("higher", "lower")]
    said = " and ".join(f"{claim.name} is {claim.verdict.word} than claimed" for claim in wrong)
    return f"Not reproduced: {said}. {_runs(measured)} with {_beside(measured)}."


def _undecided(measured: Sequence[JudgedClaim]) -> str:
    open_ones = [claim for claim in measured if claim.verdict.word == "undecided"]
    others = [claim for claim in measured if claim.verdict.word != "undecided"]
    margins = listed(dict.fromkeys(f"±{claim.verdict.margin:g}" for claim in open_ones))
    means = f"mean over seeds is within {margins} of it"
    if len(open_ones) > 1:
        means = f"means over seeds are within {margins} of them"
    show = f"{_runs(open_ones).lower()} cannot show"
    if all(c.claimed and c.claimed.half_unit >= (c.verdict.margin or 0.0) for c in open_ones):
        show = "no number of runs can show"  # the claims are rounded to no finer than the margin
    said = f"Undecided: {_standing(open_ones)} {show} that the recipe's {means}."
    return f"{said} Within the margin: {_beside(others)}." if others else said


def _standing(claims: Sequence[JudgedClaim]) -> str:
    """How undecided claims stand beside our runs; without a spread over seeds nobody knows."""
    if all(c.claimed and c.claimed.covers(c.measured or 0.0) for c in claims):
        n = max(claim.verdict.n for claim in claims)
        ours = "this run" if n == 1 else f"the mean of {n} runs"
        return f"{ours} matches the claimed {listed(f'{c.name} {c.printed}' for c in claims)}, but"
    if all(claim.verdict.interval for claim in claims):
        are = (
            "is consistent with the claim" if len(claims) == 1 else "are consistent with the claims"
        )
        return f"{_beside(claims)} {are}, but"
    return f"{_beside(claims)}, and"


def _equivalent(measured: Sequence[JudgedClaim]) -> str:
    return f"Within the margin, yet unlike a run of ours: {_beside(measured)}."


def _reproduced(measured: Sequence[JudgedClaim]) -> str:
    return f"Reproduced to within the margin: {_beside(measured)}, by {_runs(measured).lower()}."


_OF_WORD: dict[str, Callable[[Sequence[JudgedClaim]], str]] = {
    "not comparable": _not_comparable,
    "lower": _not_reproduced,
    "higher": _not_reproduced,
    "undecided": _undecided,
    "equivalent": _equivalent,
    "reproduced": _reproduced,
}


def _runs(claims: Sequence[JudgedClaim]) -> str:
    n = max(claim.verdict.n for claim in claims)
    return "One run" if n == 1 else f"{n} runs"


def _beside(claims: Sequence[JudgedClaim]) -> str:
    """Each figure beside its claim."""
    return listed(f"{c.name} {c.full} (claimed {c.printed})" for c in claims)
