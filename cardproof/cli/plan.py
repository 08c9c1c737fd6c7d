"""Say how many seeds decide a card's claims: `cardproof plan grojeda`."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardproof.claims.planning import PlannedClaim

EXIT_UNKNOWN = 1

_EPILOG = """\
examples:
  cardproof plan                        the card of params.yaml
  cardproof plan grojeda                another card of cards/
  cardproof plan grojeda --margin 0.01  what if a whole point does not matter?
  cardproof plan grojeda --sd 0.002     what if seeds spread by 0.2 points?

It simulates the verdict: the claim is a run of its author's recipe, ours are runs of the same
recipe or of one that is worse by twice the margin. The spread over seeds is that of earlier repeats
(cardproof/claims/repeats.csv) unless --sd is given. Nothing is run. exit codes: 0 planned, 1 a
spread is not known, so give --sd.
"""


def main(arguments: Sequence[str]) -> int:
    """Print the plan for the card named on the command line; the exit code."""
    options = _parser().parse_args(arguments)
    from cardproof.claims.planning import plan_claims
    from cardproof.recipe.load import read_files, resolve

    raw = read_files()
    if options.card:
        raw.params["card"] = options.card
    recipe = resolve(raw)
    planned = plan_claims(recipe, options.margin, options.sd)
    if not planned:
        print(f"{recipe.card.title} claims no score and no loss; there is nothing to decide")
        return 0
    seconds = _seconds(recipe.name)
    for claim in planned:
        print(_described(claim, seconds), end="\n\n")
    queue = f"dvc exp run --queue -S card={recipe.name} -S train.seed=1,2,3"
    print(f"run them: {queue}; dvc exp run --run-all; make compare")
    return EXIT_UNKNOWN if any(claim.scenario is None for claim in planned) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cardproof plan",
        description="Say how many seeds decide a card's claims, and how long they take here.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("card", nargs="?", metavar="CARD", help="a name out of cards/")
    parser.add_argument(
        "--margin", type=_positive, metavar="M", help="the difference that does not matter"
    )
    parser.add_argument(
        "--sd", type=_positive, metavar="SD", help="standard deviation of a figure over seeds"
    )
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _described(claim: "PlannedClaim", seconds: float | None) -> str:
    """A claim's table of seeds and words, and what follows from it."""
    from cardproof.claims.planning import POWER

    scenario = claim.scenario
    head = f"{claim.name}: claimed {claim.claimed.value:.4g}"
    if scenario is None:
        return f"{head}; no earlier repeats of such runs are known: give --sd, or run 3 seeds"
    df = f"{scenario.earlier_df:g}" if scenario.earlier_df else "no"
    lines = [
        f"{head}, margin {scenario.rule.margin:g}, spread over seeds {scenario.sd:.2g} "
        f"(by {df} degree{'' if df == '1' else 's'} of freedom)",
        "          --- the claim is true ---   ours is 2 margins lower",
        "  seeds   reproduced  undecided  denied   denied" + ("    time here" if seconds else ""),
    ]
    for n, true in claim.if_true.items():
        words, wrong = true.words, claim.if_wrong[n]
        lines.append(
            f"  {n:5}   {words['reproduced']:10.0%} {words['undecided']:10.0%}"
            f" {1 - true.consistent:7.1%} {1 - wrong.consistent:8.0%}"
            + (f"    {_duration(n * seconds):>9}" if seconds else "")
        )
    most = max(claim.if_true)
    enough = f"{claim.enough} or more show" if claim.enough else f"{most} are not enough to show"
    return "\n".join([*lines, f"  {enough} a true claim in {POWER:.0%} of cases"])


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _seconds(card: str) -> float | None:
    """How long this workspace's run of a card trained; None where its run is another's, or none."""
    from cardproof.recipe.stages import FOLDER, parse_recipe

    try:
        ran = parse_recipe((FOLDER / "report.json").read_bytes())
        took = json.loads(Path("metrics/train_time.json").read_bytes())
        return float(took["train_seconds"]) if ran.name == card else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
