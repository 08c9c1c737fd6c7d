"""The forest plot: what is drawn says what the verdict says."""

import itertools
import re

import pytest

from cardproof.claims.judge import JudgedClaim, judge_claims
from cardproof.pages.forest import Span, strips
from tests.recipe.files import recipe_of


def judged(card: str, *values: float, **claimed: str) -> list[JudgedClaim]:
    """Claims of a card, judged by runs whose scores and losses are all these values."""
    recipe = recipe_of(card)
    claims = recipe.card.claims.model_copy(update=claimed)
    recipe = recipe.model_copy(update={"card": recipe.card.model_copy(update={"claims": claims})})
    names = ["accuracy", "loss", *(f"{k}_macro" for k in ("f1", "precision", "recall"))]
    sizes = {"split.train_rows": 25_000.0, "evaluate.rows": 25_000.0}
    runs = [{f"evaluate.{name}": value for name in names} | sizes for value in values]
    return judge_claims(recipe, runs)


def end(span: Span | None) -> float:
    assert span
    return span.start + span.width


SPREADS = [(0.0,), (-0.001, 0.001), (-0.0002, 0.0, 0.0002), (-0.002, -0.001, 0.0, 0.001, 0.002)]
OFFSETS = [-0.03, -0.008, -0.004, 0.0, 0.001, 0.0045, 0.006, 0.02]


@pytest.mark.parametrize("printed", ["0.9256", "0.926", "92.6%", "93%"])
def test_lines_and_bands_meet_where_the_verdict_says_so(printed: str) -> None:
    words = set()
    for offset, spread in itertools.product(OFFSETS, SPREADS):
        claims = judged("grojeda", *(0.9256 + offset + s for s in spread), accuracy=printed)
        strip, word = strips(claims)[0], claims[0].verdict.word
        words.add(word)
        assert strip.run
        assert strip.mean
        meets = strip.run.start <= end(strip.claim) + 1e-6 and end(strip.run) >= strip.claim.start
        within = bool(strip.margin) and (
            strip.mean.start > (strip.margin.start if strip.margin else 0)
            and end(strip.mean) < end(strip.margin)
        )
        assert meets == (word in ("reproduced", "undecided")), (offset, spread)
        assert within == (word in ("reproduced", "equivalent")), (offset, spread)
    assert {"undecided", "higher", "lower"} <= words  # or the test shows nothing
    assert ("reproduced" in words) == (printed != "93%")  # rounded by as much as the margin


def test_places_lie_on_the_axis_in_the_order_of_the_figures() -> None:
    claims = judged("grojeda", 0.9312, 0.9231, 0.9275)
    for strip in strips(claims):
        drawn = [s for s in (strip.claim, strip.margin, strip.run, strip.mean) if s]
        assert all(0 <= s.start < end(s) <= 100 for s in drawn)
        assert all(0 < place < 100 for place, _ in strip.ticks)
        assert 2 <= len(strip.ticks) <= 6
        assert strip.dots[1] < strip.dots[2] < strip.dots[0]
        # a tick's place is that of its number: as far between two runs as the number is
        (at, text), *_ = strip.ticks
        share = (at - strip.dots[1]) / (strip.dots[0] - strip.dots[1])
        assert 0.9231 + share * (0.9312 - 0.9231) == pytest.approx(float(text), abs=1e-6)


def test_the_text_alternative_holds_every_number_in_the_cards_unit() -> None:
    claims = [judged(card, 0.9231, 0.9245) for card in ("grojeda", "deepaxion")]
    plain, percent = (strips(of)[0].alt for of in claims)
    assert plain.startswith("accuracy: claimed 0.9256; margin ±0.005; our runs 0.9231, 0.9245;")
    assert percent.startswith("accuracy: claimed 94%; margin ±0.005; our runs 92.31 %, 92.45 %;")
    for said, of in zip((plain, percent), claims, strict=True):
        assert re.search(r"one more run in [\d. %]+ to [\d. %]+; our mean in [\d. %]+ to", said)
        assert said.endswith(f" {of[0].verdict.word.capitalize()}.")


def test_what_is_left_blank_or_not_measured_is_drawn_as_far_as_it_is_known() -> None:
    assert strips(judged("template", 0.9)) == []
    (accuracy, loss) = strips(judged("grojeda"))
    assert accuracy.word == loss.word == "not measured"
    assert (accuracy.dots, accuracy.run) == ([], None)
    assert "our run not measured" in accuracy.alt


def test_a_single_figure_without_a_margin_still_has_an_axis() -> None:
    recipe = recipe_of("grojeda", verdict__share_margin=0.0)
    (accuracy, _) = strips(judge_claims(recipe, []))
    assert accuracy.margin is None
    assert 0 < accuracy.claim.start < 50 < end(accuracy.claim) < 100
