"""What all figures share: colours, and how one is finished and written as SVG."""

import io
import re
from typing import NamedTuple
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, CARD, INK, GREY = "#1f5fbf", "#b85c00", "#1d2733", "#8a94a3"
SCALED, SOFT, GRID, PAPER = "#14713c", "#5c6878", "#dfe3e9", "#ffffff"
DPI = 160
# The names of these colours in the pages' style sheet, which has others in dark mode.
_VARIABLES = {
    OURS: "ours", CARD: "card", INK: "ink", GREY: "grey", SCALED: "good", SOFT: "soft",
    GRID: "line", PAPER: "paper", "#000000": "ink",
}  # fmt: skip
_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"


class Drawn(NamedTuple):
    """A figure and what it shows, for those who do not see it."""

    figure: Figure
    alt: str


def finish(axes: Axes, title: str, x: str, y: str, *, legend: bool = True) -> None:
    """Titles, a light grid, no frame, and a legend where there is something to name."""
    axes.set_title(title, loc="left", fontsize=10.5, color=INK)
    axes.set_xlabel(x, fontsize=9.5, color=INK)
    axes.set_ylabel(y, fontsize=9.5, color=INK)
    axes.tick_params(labelsize=9, labelcolor=INK, color=GREY)
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)


def svg_file(figure: Figure) -> str:
    """The figure as a file of its own, on white, without a date: equal figures give equal text."""
    return _save(figure, "cardproof", transparent=False)


def inline_svg(drawn: Drawn, name: str) -> Markup:
    """The figure as an element of a page, in the page's font and in its colours, dark ones too.

    Args:
        drawn: the figure, and the text that stands for it.
        name: of the figure on its page; its marks are named after it, so that no two share one.
    """
    root = ElementTree.fromstring(_save(drawn.figure, name, transparent=True))
    root.remove(root[0])  # metadata
    root.remove(root[0])  # a style that would hold for the whole page
    for key in ("width", "height", "version"):  # the page decides how wide it is
        del root.attrib[key]
    for element in root.iter():
        if element.tag == f"{{{_SVG}}}g":
            element.attrib.pop("id", None)  # figure_1, axes_1, ...: the same in every figure
        if target := element.attrib.pop(_LINK, None):
            element.set("href", target)
        if style := element.get("style"):
            element.set("style", _with_variables(style))
    root.attrib |= {"role": "img", "aria-label": drawn.alt}
    ElementTree.register_namespace("", _SVG)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # its texts are escaped


def _save(figure: Figure, salt: str, *, transparent: bool) -> str:
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        nothing = {"Date": None, "Creator": None}
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=transparent)
    return buffer.getvalue()


def _with_variables(style: str) -> str:
    """An element's style with the page's colours and font."""
    own = re.sub(r"font-family: [^;]*;? ?", "", style)
    return re.sub(
        "#[0-9a-f]{6}",
        lambda m: f"var(--{_VARIABLES[m[0]]})" if m[0] in _VARIABLES else m[0],
        own,
    )
