"""Made-up runs, in memory and as files."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cardproof.csv_files import write_csv
from cardproof.evaluation.metrics import expected_calibration_error, reliability_bins, score
from cardproof.files import sha256_of, write_json
from cardproof.recipe.identity import ORIGIN, origin_of
from cardproof.recipe.schema import Recipe
from cardproof.runs.findings import Outputs
from cardproof.runs.reading import Predictions, Rows, Run
from cardproof.runs.scored_reviews import ScoredReviews


def outputs_of(recipe: Recipe, **provenance: str | int) -> Outputs:
    """What the stages of a finished run would have written, with scores of random logits."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    logits = random.normal(size=(100, 2)) + np.eye(2)[labels] * 2
    figures = score(labels, logits)
    figures["calibration_error"] = expected_calibration_error(reliability_bins(labels, logits))
    metrics: dict[str, float] = {f"evaluate.{k}": v for k, v in figures.items()}
    for name in ("train", "validation", "test"):
        metrics |= {f"split.{name}_rows": 100, f"split.{name}_positive_share": 0.5}
        metrics |= {f"split.{name}_repeats": 1, f"tokenize.{name}_mean_length": 231.5}
        metrics |= {f"tokenize.{name}_{what}_truncated": 0.25 for what in ("reviews", "tokens")}
    metrics |= {"split.test_in_train": 2, "train.steps": 2814, "train.parameters": 66_955_010}
    metrics |= {"train.model_bytes": 267_832_560, "evaluate_time.milliseconds_per_example": 12.345}
    said: dict[str, str | int] = {"threads": 2}
    said |= {"device": "cpu", "precision": "fp32", "precision_wanted": "fp32", "reason": "no GPU"}
    said |= {k: "1.0" for k in ("python", "torch", "transformers", "tokenizers")}
    epochs: Rows = [
        {"training_loss": 0.2336, "epoch": 1, "step": 1563, "validation_loss": 0.27176,
         "accuracy": 0.91},
        {"training_loss": None, "epoch": 2, "step": 3126, "validation_loss": 0.3,
         "accuracy": 0.92},
    ]  # fmt: skip
    curve: Rows = [
        {"step": s, "epoch": s / 9, "training_loss": 1 / s, "learning_rate": 1e-5}
        for s in (1, 5, 9)
    ]
    none = np.zeros(100, dtype=bool)
    full = random.integers(10, 600, 100)
    lengths = np.minimum(full, recipe.tokenize.max_length)
    split = recipe.split
    other = split.validation_set not in (None, split.scored_set)
    rows = np.arange(100)
    validation = Predictions(rows, labels, random.normal(size=(100, 2)) + np.eye(2)[labels])
    return Outputs(
        run=Run("workspace", "", recipe, metrics, said | provenance),
        epochs=epochs,
        curve=curve,
        scored=Predictions(rows, labels, logits),
        validation=validation if other else None,
        reviews=ScoredReviews(full, lengths, none, none if other else None, none),
        texts_of=lambda places: [f"Review number {place}." for place in places],
    )


def write_outputs(folder: Path, outputs: Outputs, texts: Mapping[str, Sequence[str]]) -> None:
    """The files of a run; `texts` of each row set, whose rows are numbered from 0."""
    for path in ("metrics", "model", "plots", "data/recipe", "data/split", "data/tokens",
                 "data/predictions"):  # fmt: skip
        (folder / path).mkdir(parents=True)
    metrics: dict[str, dict[str, float]] = defaultdict(dict)
    for key, value in outputs.run.metrics.items():
        name, _, figure = key.partition(".")
        metrics[name][figure] = value
    for name, figures in metrics.items():
        write_json(folder / f"metrics/{name}.json", figures)
    write_json(folder / "model/training.json", outputs.run.provenance)
    for name in ("config", "tokenizer_config"):
        write_json(folder / f"model/{name}.json", {})
    (folder / "data/recipe/report.json").write_text(outputs.run.recipe.model_dump_json())
    origin = {"reviews": "made", "base": "made", **origin_of(outputs.run.recipe)}
    for path in ("model", "data/split", "data/tokens", "data/predictions"):
        write_json(folder / path / ORIGIN, origin)
    weights = folder / "model/model.safetensors"
    weights.write_bytes(b"")
    write_json(folder / "data/predictions" / ORIGIN, origin | {"model": sha256_of(weights)})
    for name, table in {"epochs": outputs.epochs, "training_curve": outputs.curve}.items():
        write_csv(folder / f"plots/{name}.csv", list(table[0]), table)
    predicted: dict[str, Predictions | None] = {"validation": outputs.validation}
    predicted[outputs.run.recipe.split.scored_set] = outputs.scored
    for name, column in texts.items():
        rows = np.arange(len(column))
        of_set = {"row": rows, "text": column, "label": rows % 2}
        pq.write_table(pa.table(of_set), folder / f"data/split/{name}.parquet", row_group_size=1000)
        found = predicted.get(name)
        if found is None:
            continue
        negative, positive = found.logits.T
        logits = {"logit_negative": negative, "logit_positive": positive}
        of_set = {"row": found.rows, "label": found.labels, **logits}
        pq.write_table(pa.table(of_set), folder / f"data/predictions/{name}.parquet")
        tokens = folder / f"data/tokens/{name}"
        tokens.mkdir()
        ends = np.cumsum(outputs.reviews.lengths)
        np.save(tokens / "ids.npy", np.ones(ends[-1], dtype=np.uint16))
        np.save(tokens / "offsets.npy", np.concatenate([[0], ends]))
        np.save(tokens / "labels.npy", found.labels)
        np.save(tokens / "full_lengths.npy", outputs.reviews.full_lengths)
