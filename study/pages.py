"""The page of results: tables and figures from records, and what is still missing."""

from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from cardproof.drawing import CARD, GREY, OURS
from cardproof.uncertainty import score_intervals
from study.records import Record, read_records
from study.small_sets import FIGURES, Floats, draw_scores, spreads

TEMPLATES = Path(__file__).parent / "templates"
DRAWS, DRAWN_ROWS, SEED = 10_000, 100, 42
DRAWN_FROM = "grojeda-cut-short-on-minilm"  # whose logits the small test sets are drawn from


def render_results(results: Path) -> dict[str, str]:
    """The page and its figures (SVG), by name below `results`."""
    records = read_records(results)
    source = next(record for record in records if record.name == DRAWN_FROM)
    drawn = draw_scores(source.labels, source.logits, DRAWN_ROWS, DRAWS, SEED)
    found = spreads(source.labels, source.logits, drawn)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, of our own figures
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("results.md.j2").render(
        records=records,
        source=source,
        spreads=found,
        intervals={r.name: score_intervals(r.labels, r.logits) for r in records},
        draws=DRAWS,
        rows=DRAWN_ROWS,
        off_by_two=float(np.mean(abs(drawn["accuracy"] - found["accuracy"].whole) > 0.02)),
    )
    return {"README.md": page, "small-test-sets.svg": _svg(_small_sets_figure(drawn, source))}


def _small_sets_figure(drawn: dict[str, Floats], source: Record) -> Figure:
    """Histograms of each score over the draws, and the score on all rows."""
    figure = Figure(figsize=(10, 2.9), layout="constrained")
    whole = spreads(source.labels, source.logits, drawn)
    for axes, name in zip(figure.subplots(1, len(FIGURES), sharey=True), FIGURES, strict=True):
        values, counts = np.unique(drawn[name].round(2), return_counts=True)
        axes.bar(values, counts / DRAWS, width=0.008, color=OURS, alpha=0.75)
        axes.axvline(whole[name].whole, color=CARD, lw=2)
        axes.set_title(name.replace("f1", "F1"), loc="left", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=GREY, lw=0.3, axis="y")
        axes.set_axisbelow(True)
    figure.supxlabel(
        f"score on {DRAWN_ROWS} rows; the line is the score on all {len(source.labels):,}"
    )
    return figure


def _svg(figure: Figure) -> str:
    """The figure as SVG text, the same for the same figure."""
    import io

    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "cardproof", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
