"""The error rates of the verdict: results/verdict.md and its figure, by simulation.

Worked examples stand beside them: a card judged with one and three runs that are drawn here.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cardproof.claims.judge import judge_claims
from cardproof.claims.published import IMDB_SPLIT, accuracies
from cardproof.claims.simulation import (
    WORDS,
    Scenario,
    Shares,
    denied_while_watched,
    simulate,
)
from cardproof.claims.variation import Spread, earlier_spreads
from cardproof.claims.verdicts import Rule
from cardproof.pages.drawing import svg_file
from cardproof.pages.templates import make_environment
from cardproof.recipe.schema import Recipe
from cardproof.runs.reading import Run
from dev.study.figures import draw_words

RUNS = (1, 2, 3, 5, 10)
DRAWS = 20_000
ENDLESS = 1_000_000  # runs: as good as all
TIMES = (1, 2, 3, 6)  # as much as the earlier runs; six times is near the end of what these allow
ROW_SD = (0.93 * 0.07 / 100) ** 0.5  # of a score on 100 rows


class Case(NamedTuple):
    """A table: what is judged, and by what knowledge of its spread."""

    name: str
    scenario: Scenario


def cases() -> list[Case]:
    """All tables of the page."""
    plain, loss = _like_imdb("accuracy", 0.005), _like_imdb("loss", 0.02)
    return [
        Case("Accuracy", plain),
        Case("Accuracy, spread not known before ours", replace(plain, earlier=())),
        Case(
            "Accuracy claimed on 100 other rows, spread not known before ours",
            replace(plain, half_unit=0.005, earlier=(), row_variance=2 * ROW_SD**2),
        ),
        Case("Loss, margin 0.02", loss),
    ]


def imdb_spreads(figure: str) -> list[Spread]:
    """What a verdict on a card of all of IMDb starts from, the largest first."""
    found = earlier_spreads(figure, "imdb", IMDB_SPLIT, IMDB_SPLIT, claimed_by="")
    return sorted((Spread(float(of.sd), of.df) for of in found), reverse=True)


def _like_imdb(figure: str, margin: float) -> Scenario:
    """As many earlier runs as of IMDb; all runs vary as those of them that vary most."""
    spreads = imdb_spreads(figure)
    sd = spreads[0].sd
    return Scenario(sd, Rule(margin), earlier=tuple(Spread(sd, of.df) for of in spreads))


def render_verdict(run: Run, templates: Path) -> dict[str, str]:
    """The page and its figure, by name below results/.

    Args:
        run: of which card the worked examples are.
        templates: the folder of the template.
    """
    tables = {case.name: list(_rows(case.scenario)) for case in cases()}
    drawn = cases()[0].scenario
    differences = np.linspace(0, 0.02, 41)
    shares = {n: [simulate(drawn, n, -float(d), DRAWS // 5) for d in differences] for n in RUNS}
    stacked = {
        n: np.array([[of.words[word] for word in WORDS] for of in found])
        for n, found in shares.items()
    }
    page = make_environment(templates).get_template("verdict.md.j2").render(
        tables=tables, runs=RUNS, draws=DRAWS, examples=list(_examples(run)),
        spreads={figure: imdb_spreads(figure) for figure in ("accuracy", "loss")},
        watched={n: denied_while_watched(cases()[0].scenario, n, DRAWS) for n in RUNS[1:]},
        published=accuracies(IMDB_SPLIT),
        denied={times: list(true_claims_denied(times)) for times in TIMES},
        floors={m: simulate(cases()[0].scenario, ENDLESS, -m * 0.005, DRAWS).consistent
                for m in (1.5, 2)},
    )  # fmt: skip
    return {"verdict.md": page, "verdict.svg": svg_file(draw_words(differences, stacked, WORDS))}


def _rows(scenario: Scenario) -> Iterator[tuple[float, list[Shares]]]:
    """Differences in margins, and the shares for each number of runs."""
    for margins in (0, 0.5, 1, 1.5, 2, 4):
        difference = -margins * scenario.rule.margin
        yield margins, [simulate(scenario, n, difference, DRAWS) for n in RUNS]


def true_claims_denied(times: float) -> Iterator[float]:
    """Of true claims of one accuracy, the shares denied by runs that vary more than is known.

    By number of runs; the earlier runs of IMDb are those that are known.
    """
    known = tuple(imdb_spreads("accuracy"))
    scenario = Scenario(times * known[0].sd, Rule(0.005), earlier=known, redrawn=False)
    for n in RUNS:
        yield 1 - simulate(scenario, n, 0.0, DRAWS).consistent


def _examples(run: Run) -> Iterator[tuple[str, int, str, str, str]]:
    """Card, runs, accuracy beside its claim, the word and its reason."""
    yield ("grojeda, from another base", 1,
           *_judged(run.recipe, [run.metrics["evaluate.accuracy"]], run))  # fmt: skip
    random = np.random.default_rng(0)
    drawn = (0.9256 + imdb_spreads("accuracy")[0].sd * random.standard_normal(3)).tolist()
    for said, off in (("true", 0.0), ("off by 2 points", 0.02)):
        claims = run.recipe.card.claims.model_copy(
            update={"accuracy": f"{0.9256 + off:.4f}", "loss": None}
        )
        card = run.recipe.card.model_copy(update={"claims": claims})
        recipe = run.recipe.model_copy(update={"card": card, "deviations": []})
        yield (f"made up, {said}", len(drawn), *_judged(recipe, drawn, run))


def _judged(recipe: Recipe, accuracies: list[float], run: Run) -> tuple[str, str, str]:
    sizes = {key: run.metrics[key] for key in ("split.train_rows", "evaluate.rows")}
    metrics = [sizes | {"evaluate.accuracy": accuracy} for accuracy in accuracies]
    claim = next(c for c in judge_claims(recipe, metrics) if c.key == "accuracy")
    return f"{claim.full} ({claim.printed})", claim.verdict.word, claim.verdict.reason
