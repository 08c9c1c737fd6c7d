"""Score the rows that the card scored: figures, curves, every logit, and the time one takes."""

from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.csv_files import write_csv
from cardproof.files import checksummed_folder, sha256_of, write_json
from cardproof.recipe.identity import ORIGIN, common_origin, read_origin
from cardproof.recipe.stages import EvaluateRecipe, read_stage_recipe
from cardproof.stage import run_stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cardproof.model.devices import Device

PLOTS = Path("plots")
EVALUATION = "evaluation.json"
READS = {"model": "train", "data/split": "split", "data/tokens": "tokenize"}


def main() -> None:
    """Write data/predictions/, metrics/evaluate*.json and the plots' data."""
    recipe = read_stage_recipe(EvaluateRecipe)
    origin = common_origin({folder: read_origin(Path(folder)) for folder in READS})
    import numpy as np
    import pyarrow.parquet as pq

    from cardproof.model import loading

    loading.import_transformers()
    from cardproof.evaluation.inference import TIMED_CALLS, predict_logits, time_per_example
    from cardproof.model.devices import choose_device, keep_freed_memory
    from cardproof.model.tokens import open_tokens

    keep_freed_memory()
    loading.quiet_transformers()
    device = choose_device(recipe.precision)
    print(f"evaluating on {device.name} in {device.precision}: {device.reason}")
    tokenizer = loading.load_tokenizer(Path("model"))
    model = loading.load_classifier(Path("model"))
    scored = recipe.sets[0]
    logits = {}
    with checksummed_folder(Path("data/predictions")) as folder:
        for name in recipe.sets:
            store = open_tokens(Path("data/tokens") / name)
            logits[name] = predict_logits(
                model, store, recipe.batch_size, device, tokenizer.pad_token_id
            )
            _write_predictions(name, logits[name], folder)
        write_json(folder / EVALUATION, _conditions(device))
        write_json(folder / ORIGIN, origin | {"model": sha256_of(Path("model/model.safetensors"))})
    labels = np.asarray(open_tokens(Path("data/tokens") / scored).labels)
    _write_figures(labels, logits[scored])
    rows = pq.ParquetFile(Path("data/split") / f"{scored}.parquet")
    texts = next(rows.iter_batches(TIMED_CALLS, columns=["text"]))["text"].to_pylist()
    timed = time_per_example(model, tokenizer, texts, recipe.max_length, device)
    write_json(Path("metrics/evaluate_time.json"), timed)


def _conditions(device: "Device") -> dict[str, str | int]:
    """What the last digits of the logits depend on, beside the model: it travels with them."""
    import torch

    return {
        "device": device.name,
        "precision": device.precision,
        "reason": device.reason,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _write_predictions(name: str, logits: "NDArray[np.float32]", folder: Path) -> None:
    """Beside each row's number and label, its logits: what any later analysis starts from."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    split = pq.ParquetFile(Path("data/split") / f"{name}.parquet")
    # pq.read_table would import pandas, and so would arrays of NumPy's in place of lists.
    table = split.read(columns=["row", "label"])
    for column, values in zip(("logit_negative", "logit_positive"), logits.T.tolist(), strict=True):
        table = table.append_column(column, pa.array(values, pa.float32()))
    pq.write_table(table, folder / f"{name}.parquet")


def _write_figures(labels: "NDArray[np.int64]", logits: "NDArray[np.float32]") -> None:
    from cardproof.evaluation import metrics as scores

    figures = scores.score(labels, logits)
    bins = scores.reliability_bins(labels, logits)
    figures["loss_error"] = scores.loss_error(labels, logits)
    figures["calibration_error"] = scores.expected_calibration_error(bins)
    write_json(Path("metrics/evaluate.json"), figures)
    print(f"accuracy {figures['accuracy']:.4f}, loss {figures['loss']:.4f}, {len(labels):,} rows")
    write_csv(PLOTS / "reliability.csv", ("confidence", "accuracy", "rows"), bins)
    write_csv(PLOTS / "roc.csv", ("fpr", "tpr"), scores.roc_points(labels, logits))
    write_csv(
        PLOTS / "precision_recall.csv",
        ("recall", "precision"),
        scores.precision_recall_points(labels, logits),
    )
    names = ("negative", "positive")
    pairs = zip(labels.tolist(), logits.argmax(axis=1).tolist(), strict=True)
    rows = [{"actual": names[a], "predicted": names[p]} for a, p in pairs]
    write_csv(PLOTS / "confusion.csv", ("actual", "predicted"), rows)


if __name__ == "__main__":
    run_stage("evaluate", __doc__, main, reads=READS)
