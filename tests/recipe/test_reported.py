"""Printed figures: what interval they stand for, and how ours is printed like them."""

import pytest

from cardproof.recipe.reported import fill_blank, is_blank, parse_figure, print_like


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("0.9256", 0.92555, 0.92565),
        ("94%", 0.935, 0.945),
        ("94 %", 0.935, 0.945),
        ("~2,814", 2813.5, 2814.5),
        ("≈22.5k", 22450, 22550),
        ("67M", 66.5e6, 67.5e6),
        ("0.034", 0.0335, 0.0345),
        ("4.21 ms", 4.205, 4.215),
    ],
)
def test_a_figure_is_the_interval_of_its_digits(text: str, low: float, high: float) -> None:
    figure = parse_figure(text)
    assert (figure.low, figure.high) == pytest.approx((low, high), rel=1e-12)
    assert figure.covers(low)
    assert figure.covers(high)
    assert not figure.covers(low - 1e-3 * (high - low))
    assert not figure.covers(high + 1e-3 * (high - low))


@pytest.mark.parametrize("text", ["", "high", "0.9.2", "94 % of", "--3", "1e5e", "XX.XX%"])
def test_what_is_no_figure_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no figure"):
        parse_figure(text)


def test_blanks_are_filled_in_their_own_format() -> None:
    blanks = ("XX.XX%", "X.XXXX", "~X.XX ms")
    assert all(map(is_blank, blanks))
    assert not is_blank("0.92")
    filled = [fill_blank(b, v) for b, v in zip(blanks, (0.91, 0.91234, 4.256), strict=True)]
    assert filled == ["91.00%", "0.9123", "~4.26 ms"]


def test_ours_is_printed_with_the_claims_digits() -> None:
    assert print_like("94%", 0.9312) == "93%"
    assert print_like("0.9256", 0.93124) == "0.9312"
    assert print_like("~2,814", 2814) == "2,814"
    assert print_like("XX.XX%", 0.5) == "50.00%"
