"""Say how many seeds decide a card's claims: `cardproof plan grojeda`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardproof.claims.planning import PlannedClaim
    from cardproof.recipe.schema import Recipe

EXIT_UNKNOWN = 1
FIRST_SEEDS = 3  # to run where the spread over seeds is not known
FEW = 3  # degrees of freedom: a spread by no more of them may be off by 4 times (95 %)

_EPILOG = """\
examples:
  cardproof plan                        the card of params.yaml
  cardproof plan grojeda                another card of cards/
  cardproof plan grojeda --table        how often each verdict falls, by the number of seeds
  cardproof plan grojeda --margin 0.01  what if a whole point does not matter?
  cardproof plan grojeda --sd 0.002     what if seeds spread by 0.2 points?

It simulates the verdict: the claim is a run of its author's recipe, ours are runs of the same
recipe or of one that is worse by twice the margin. Runs are taken to vary as the earlier repeats
that vary most (cardproof/claims/repeats.csv), or by --sd; the verdict counts those repeats either
way. Nothing is run. exit codes: 0 planned; 1 a spread is not known, so give --sd, or the recipe's
files have faults; 2 there is no such card.
"""


def main(arguments: Sequence[str]) -> int:
    """Print the plan for the card named on the command line; the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    from cardproof.claims.planning import breaking_overrides, plan_claims
    from cardproof.recipe.faults import suggestion
    from cardproof.recipe.load import read_files, resolve

    raw = read_files()
    if options.card and options.card not in raw.cards:
        known = suggestion(options.card, list(raw.cards))
        parser.error(f"CARD: {options.card!r} is not in cards/{known}")
    raw.params["card"] = options.card or raw.params.get("card")
    recipe = resolve(raw)
    planned = plan_claims(recipe, options.margin, options.sd)
    if not planned:
        print(f"{recipe.card.title} claims no score and no loss; there is nothing to decide")
        return 0
    if overrides := breaking_overrides(recipe):
        keys = ", ".join(overrides)
        print(f'warning: params.yaml overrides {keys}: every run will be "not comparable"')
    seconds = _seconds(recipe)
    for claim in planned if options.table else ():
        print(_table(claim, seconds), end="\n\n")
    print("\n".join(_answer(recipe.name, planned, seconds, spread_given=options.sd is not None)))
    unknown = any(claim.scenario is None and not claim.too_coarse for claim in planned)
    return EXIT_UNKNOWN if unknown else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cardproof plan",
        description="Say how many seeds decide a card's claims, and how long they take here.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("card", nargs="?", metavar="CARD", help="a name out of cards/")
    parser.add_argument(
        "--margin", type=_share, metavar="M", help="the difference of scores that does not matter"
    )
    parser.add_argument(
        "--sd", type=_share, metavar="SD", help="standard deviation of scores between runs"
    )
    parser.add_argument(
        "--table", action="store_true", help="also how often each verdict falls, by seeds"
    )
    return parser


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number between 0 and 1")
    return value


def _answer(
    card: str, planned: Sequence["PlannedClaim"], seconds: float | None, *, spread_given: bool
) -> list[str]:
    """A line for each figure, then for all of them, what may be wrong, and the command."""
    first = next((claim for claim in planned if _seeds(claim)), None)
    lines = [_line(claim, explained=claim is first) for claim in planned]
    decided = {claim.name: n for claim in planned if (n := _seeds(claim))}
    if decided:
        n = max(decided.values())
        who = "all figures" if len(decided) == len(planned) else " and ".join(decided)
        time = (
            f"{_duration(n * seconds)} of training, by the last run"
            if seconds
            else "unknown, run one first"
        )
        lines.append(f"{who}: {_of(n)}; time: {time}")
    known_by = [c.scenario.earlier for c in planned if c.scenario and not c.too_coarse]
    if not spread_given and any(max(of.df for of in earlier) <= FEW for earlier in known_by):
        lines.append(
            "the spread is known from few earlier runs only and may be off by several times"
        )
    lines += dict.fromkeys(_wider_margin(claim) for claim in planned if claim.too_coarse)
    return lines + (_commands(card, max(decided.values())) if decided else [])


def _seeds(claim: "PlannedClaim") -> int | None:
    """How many to run for a claim; None where no number that was looked at decides."""
    if claim.too_coarse:
        return None
    return claim.enough if claim.scenario else FIRST_SEEDS


def _line(claim: "PlannedClaim", *, explained: bool) -> str:
    """A figure's seeds and the chance that they show it; `explained` of what it is a chance."""
    head = f"{claim.name} {claim.printed}:"
    if claim.too_coarse:
        printed = f"printed to ±{claim.claimed.half_unit:g}"
        return f"{head} {printed}, no finer than the margin of {claim.margin:g}"
    if claim.scenario is None:
        first = _of(FIRST_SEEDS)
        return f"{head} no earlier repeats of such runs are known: run {first}, or give --sd"
    n = claim.enough
    if n is None:
        spread = f"sd between runs {claim.scenario.sd:.2g}"
        many = f"more than {_of(max(claim.if_true))}"
        if claim.never:
            many = "shown by no number of seeds"
        also = ", other test rows" if claim.scenario.row_variance else ""
        most = max((float(of.sd) for of in claim.scenario.earlier), default=0.0)
        also += f", earlier runs {most:.2g}" if most > claim.scenario.sd else ""
        return f"{head} {many}: {spread}{also}, margin {claim.margin:g}"
    chance = f"{100 * claim.if_true[n].words['reproduced']:.0f} %"
    of_what = ' chance of "reproduced" if the claim is true' if explained else ""
    return f"{head} {_of(n)} ({chance}{of_what})"


def _of(n: int) -> str:
    return f"{n} seed{'' if n == 1 else 's'}"


def _wider_margin(claim: "PlannedClaim") -> str:
    wider = (
        f"--margin {2 * claim.claimed.half_unit:g} plans with a wider margin (verdict.share_margin)"
    )
    if claim.key == "loss":
        wider = (
            f"verdict.loss_margin of params.yaml would have to be {2 * claim.claimed.half_unit:g}"
        )
    return (
        "no number of seeds can show a claim of so few digits reproduced, only contradict it;\n"
        + wider
    )


def _commands(card: str, n: int) -> list[str]:
    few = f"train.seed={','.join(map(str, range(1, n + 1)))}"
    seeds = few if n <= FIRST_SEEDS else f"'train.seed=range(1,{n + 1})'"  # quoted: bash has ( )
    queue = f"dvc exp run --queue -S card={card} -S {seeds}"
    return [
        "run them:",
        *(f"  {line}" for line in (queue, "dvc exp run --run-all", "make compare")),
    ]


def _table(claim: "PlannedClaim", seconds: float | None) -> str:
    """How often each verdict falls, by the number of seeds."""
    scenario = claim.scenario
    if scenario is None:
        return f"{claim.name} {claim.printed}: no table, for its spread between runs is not known"
    lines = [
        f"{claim.name} {claim.printed}, margin {claim.margin:g}, standard deviation between runs "
        f"{scenario.sd:.2g}",
        f"{'if the claim is true':>55} {f'if ours is {2 * claim.margin:g} lower':>23}",
        "seeds  reproduced  undecided  equivalent  higher or lower  higher or lower"
        + ("       time" if seconds else ""),
    ]
    for n, true in claim.if_true.items():
        words = true.words
        shares = [words[word] for word in ("reproduced", "undecided", "equivalent")]
        shares += [of["higher"] + of["lower"] for of in (words, claim.if_wrong[n].words)]
        cells = [f"{share:{w}.1%}" for share, w in zip(shares, (10, 9, 10, 15, 15), strict=True)]
        time = [f"{_duration(n * seconds):>9}"] if seconds else []
        lines.append("  ".join([f"{n:5}", *cells, *time]))
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _seconds(recipe: "Recipe") -> float | None:
    """How long this workspace's run trained; None where it is of another recipe, or there is none.

    The seed may be another one.
    """
    from cardproof.recipe.stages import FOLDER, parse_recipe

    try:
        ran = parse_recipe((FOLDER / "report.json").read_bytes())
        took = float(json.loads(Path("metrics/train_time.json").read_bytes())["train_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = (ran.name, _changed(ran)) == (recipe.name, _changed(recipe))
    return took if same else None


def _changed(recipe: "Recipe") -> dict[str, object]:
    return {d.key: d.ours for d in recipe.deviations if d.key != "train.seed"}
