"""Say what a number of seeds would decide of a card's claims: `cardproof plan grojeda`."""

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
SOME_SEEDS = 5  # for example, where no number of them has the power
SHOWN = (1, 2, 3, 5, 10, 20, 30)  # of the numbers of seeds that are simulated
FEW = 3  # degrees of freedom: a spread by no more of them may be off by 4 times (95 %)

_EPILOG = """\
examples:
  cardproof plan                        the card of params.yaml
  cardproof plan grojeda                another card of cards/
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
    print(
        "\n".join([*_table(planned, seconds), *_answer(recipe.name, planned, options.sd is None)])
    )
    return EXIT_UNKNOWN if any(claim.unknown for claim in planned) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cardproof plan",
        description="How likely some seeds decide a card's claims, and how long they take here.",
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
    return parser


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number between 0 and 1")
    return value


def _table(planned: Sequence["PlannedClaim"], seconds: float | None) -> list[str]:
    """How often the verdicts that decide fall, by seeds; empty if nothing is known."""
    simulated = [claim for claim in planned if claim.if_true and not claim.too_coarse]
    if not simulated:
        return []
    names = [f"  {claim.name} {claim.printed}" for claim in simulated]
    true = [[c.if_true[n].words["reproduced"] for n in SHOWN] for c in simulated]
    wrong = [[c.if_wrong[n].words for n in SHOWN] for c in simulated]
    off = [[words["higher"] + words["lower"] for words in of_one] for of_one in wrong]
    rows = [
        ("seeds", [str(n) for n in SHOWN]),
        ('chance of "reproduced" if the claim is true', []),
        *zip(names, ([f"{share:.0%}" for share in of_one] for of_one in true), strict=True),
        ('chance of "higher" or "lower" if our mean is two margins off', []),
        *zip(names, ([f"{share:.0%}" for share in of_one] for of_one in off), strict=True),
    ]
    if seconds:
        rows.append(("training, by the last run", [_duration(n * seconds) for n in SHOWN]))
    width = max(len(name) for name, cells in rows if cells)
    return [
        f"{name:{width}}{''.join(f'{cell:>8}' for cell in cells)}" if cells else name
        for name, cells in rows
    ]


def _answer(card: str, planned: Sequence["PlannedClaim"], spread_looked_up: bool) -> list[str]:
    """A line for each figure, what may be wrong, and the commands."""
    lines = [f"{claim.name} {claim.printed}: {_line(claim)}" for claim in planned]
    known_by = [c.scenario.earlier for c in planned if c.scenario and not c.too_coarse]
    if spread_looked_up and any(max(of.df for of in earlier) <= FEW for earlier in known_by):
        lines.append("the sd is known from few earlier runs only and may be off by several times")
    lines += dict.fromkeys(_wider_margin(claim) for claim in planned if claim.too_coarse)
    open_ones = [claim for claim in planned if not claim.too_coarse and not claim.never]
    if not open_ones:
        return lines
    enough = [FIRST_SEEDS if claim.unknown else claim.enough for claim in open_ones]
    n = max(number or SOME_SEEDS for number in enough)
    return lines + _commands(card, n if all(enough) else SOME_SEEDS)


def _line(claim: "PlannedClaim") -> str:
    """How many seeds show a figure, and what that rests on."""
    if claim.too_coarse:
        printed = f"printed to ±{claim.claimed.half_unit:g}, no finer than the margin of"
        return f"{printed} {claim.margin:g}: no number of seeds shows it reproduced"
    if claim.scenario is None:
        return f"sd between runs unknown: run {FIRST_SEEDS} seeds and plan again, or give --sd"
    from cardproof.claims.planning import POWER

    if claim.enough:
        seeds = f"{claim.enough} seed{'s' if claim.enough > 1 else ''}"
    else:
        seeds = "no number of seeds" if claim.never else f"more than {max(claim.if_true)}"
    many = f"{100 * POWER:g} % with {seeds}"
    also = ", other test rows" if claim.scenario.row_variance else ""
    most = max((float(of.sd) for of in claim.scenario.earlier), default=0.0)
    also += f", earlier runs {most:.2g}" if most > claim.scenario.sd else ""
    return f"{many}; sd between runs {claim.scenario.sd:.2g}{also}, margin {claim.margin:g}"


def _wider_margin(claim: "PlannedClaim") -> str:
    wide = f"{2 * claim.claimed.half_unit:g}"
    if claim.key == "loss":
        return f"a loss of so few digits needs verdict.loss_margin: {wide} in params.yaml"
    return f"a score of so few digits needs a wider margin: --margin {wide} (verdict.share_margin)"


def _commands(card: str, n: int) -> list[str]:
    few = f"train.seed={','.join(map(str, range(1, n + 1)))}"
    seeds = few if n <= FIRST_SEEDS else f"'train.seed=range(1,{n + 1})'"  # quoted: bash has ( )
    queue = f"dvc exp run --queue -S card={card} -S {seeds}"
    return [
        f"to run {n} seed{'s' if n > 1 else ''}:",
        *(f"  {line}" for line in (queue, "dvc exp run --run-all", "make compare")),
    ]


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
