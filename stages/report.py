"""Put each claim beside its measurement: a page, figures, and a folder ready for the hub."""

import shutil
from pathlib import Path

from cardproof.files import CHECKSUMS, working_folder, write_json, write_text_atomic
from cardproof.recipe.schema import Recipe
from cardproof.recipe.stages import read_stage_recipe
from cardproof.stage import run_stage

READS = {
    "data/predictions": "evaluate",
    "data/split": "split",
    "data/tokens": "tokenize",
    "model": "train",
}


def main() -> None:
    """Write report/ (page, figures), upload/ (model, README.md), metrics of claims and analysis."""
    recipe = read_stage_recipe(Recipe)
    from cardproof.claims.judge import judge_claims, summarise_run
    from cardproof.pages.report.behaviour import analyse, behaviour_metrics
    from cardproof.pages.report.figures import draw_figures
    from cardproof.pages.report.render import render_model_card, render_page
    from cardproof.runs.facts import read_run

    run = read_run(recipe)
    figures = draw_figures(run)
    with working_folder(Path("report")) as folder:
        for name, png in figures.items():
            (folder / f"{name}.png").write_bytes(png)
        write_text_atomic(folder / "index.html", render_page(run, figures))
    with working_folder(Path("upload")) as folder:
        shutil.copytree("model", folder, ignore=lambda *_: [CHECKSUMS], dirs_exist_ok=True)
        write_text_atomic(folder / "README.md", render_model_card(run))
    judged = judge_claims(recipe, [run.metrics], run.provenance["precision"])
    write_json(Path("metrics/summary.json"), summarise_run(run.metrics, judged))
    write_json(Path("metrics/analysis.json"), behaviour_metrics(analyse(run)))
    for c in judged:
        print(f"{c.name}: claimed {c.printed}, measured {c.shown or 'nothing'}: {c.verdict.word}")
    print("look at report/index.html; upload/ is ready for the hub")


if __name__ == "__main__":
    run_stage("report", __doc__, main, reads=READS)
