"""What all figures share: colours, and how one is finished and written."""

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, CARD, INK, GREY = "#1f5fbf", "#d9720f", "#1d2733", "#8a94a3"
SCALED, SOFT = "#14713c", "#5c6878"
DPI = 160


def finish(axes: Axes, title: str, x: str, y: str, *, legend: bool = True) -> None:
    """Titles, a light grid, no frame, and a legend where there is something to name."""
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color="#e6e9ee", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def to_png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    # No software version in the file: its bytes change only when the picture does.
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
