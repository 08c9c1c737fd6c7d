"""Put each claim beside its measurement: a page, figures, and a folder ready for the hub."""

import json
from pathlib import Path

from cardproof.files import working_folder, write_json, write_text_atomic
from cardproof.imports import quick_imports
from cardproof.stage import run_stage

READS = {
    "data/predictions": "evaluate",
    "data/split": "split",
    "data/tokens": "tokenize",
    "model": "train",
}


def main() -> None:
    """Write report/index.html, upload/ (model, README.md), metrics of claims and analysis."""
    with quick_imports():
        from cardproof.claims.summary import summarise_run
        from cardproof.pages.figures import draw_figures
        from cardproof.pages.report import render_model_card, render_page
        from cardproof.pages.settings import label_names
        from cardproof.pages.upload import copy_model
        from cardproof.runs.findings import analysis_record, find, read_outputs

    findings = find(read_outputs())
    run = findings.outputs.run
    with working_folder(Path("report")) as folder:
        page = render_page(findings, draw_figures(findings))
        write_text_atomic(folder / "index.html", page)
    with working_folder(Path("upload")) as folder:
        labels = copy_model(Path("model"), folder, label_names(run.recipe.card))
        write_text_atomic(folder / "README.md", render_model_card(findings, labels))
    summary = summarise_run(run.recipe, run.metrics, findings.claims)
    write_json(Path("metrics/summary.json"), summary)
    analysis = json.dumps(analysis_record(findings.analysis), indent=2, allow_nan=False)
    write_text_atomic(Path("metrics/analysis.json"), analysis + "\n")
    for c in findings.claims:
        print(f"{c.name}: claimed {c.printed}, measured {c.shown or 'nothing'}: {c.verdict.word}")
    print(findings.sentence)
    print("look at report/index.html; upload/ is ready for the hub")


if __name__ == "__main__":
    run_stage("report", __doc__, main, reads=READS)
