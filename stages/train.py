"""Fine-tune the base with the card's recipe, by transformers' Trainer.

plots/training_curve.csv and plots/epochs.csv (the cards' own columns) grow while it runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from cardproof.files import checksummed_folder, write_json
from cardproof.recipe.identity import ORIGIN, common_origin, identity_of_base, read_origin
from cardproof.recipe.stages import TrainRecipe, read_stage_recipe
from cardproof.stage import run_stage
from cardproof.training.distributed.launch import (
    SINGLE_PROCESS,
    Process,
    configure_process,
    launch,
    this_process,
)

if TYPE_CHECKING:
    from cardproof.model.devices import Device
    from cardproof.training.trainer import TrainingResult

READS = {"data/base": "download", "data/tokens": "tokenize"}


def main() -> None:
    """Write model/, plots/epochs.csv, plots/training_curve.csv and the metrics of training."""
    recipe = read_stage_recipe(TrainRecipe)
    process = this_process()
    if recipe.processes > 1 and process == SINGLE_PROCESS:
        launch("stages.train", recipe.processes)
        return
    configure_process(process, recipe.processes)
    from cardproof.model.loading import import_transformers, quiet_transformers

    import_transformers()  # first: it is quicker at importing torch, too
    from cardproof.model.devices import choose_device, describe_precision, keep_freed_memory
    from cardproof.training.distributed.process_group import process_group

    keep_freed_memory()
    quiet_transformers()
    device = choose_device(recipe.train.precision)
    print(f"training on {device.name} in {device.precision}: {device.reason}")
    if slow := describe_precision(device):
        print(slow)
    with process_group(process, device.name):
        _train(recipe, device, process)


def _train(recipe: TrainRecipe, device: "Device", process: Process) -> None:
    """Train, in one process or several; rank 0 writes what comes of it."""
    from cardproof.model.loading import load_classifier, load_tokenizer
    from cardproof.model.tokens import open_tokens
    from cardproof.training.checkpoint_folder import (
        checkpoint_root,
        run_key,
        shared_checkpoint_folder,
    )
    from cardproof.training.distributed.process_group import check_same_run
    from cardproof.training.logs import TrainingTables
    from cardproof.training.trainer import steps_per_epoch, train_classifier, training_arguments

    tokens, base = Path("data/tokens"), Path("data/base")
    origin = common_origin(
        {str(tokens): read_origin(tokens), str(base): {"base": identity_of_base(base)}}
    )
    train, validation = recipe.train, recipe.validation_set
    train_set = open_tokens(tokens / "train")
    validation_set = open_tokens(tokens / validation) if validation else None
    per_epoch = steps_per_epoch(len(train_set), train.batch_size)
    print(f"{len(train_set):,} reviews, {per_epoch:,} steps an epoch, {train.epochs:g} epochs")

    tokenizer = load_tokenizer(base)
    model = load_classifier(base, train.seed, recipe.labels)
    key = run_key(_fingerprint(recipe, device), [base, tokens])
    check_same_run(key)
    curve, epochs = Path("plots/training_curve.csv"), Path("plots/epochs.csv")
    tables = TrainingTables(curve, epochs, train.logging_steps, per_epoch)
    with shared_checkpoint_folder(checkpoint_root(), key, process) as checkpoints:
        arguments = training_arguments(
            train,
            recipe.evaluation_batch_size,
            device,
            validation is not None,
            checkpoints,
            process,
        )
        callbacks = [] if process.rank else [tables]
        result = train_classifier(model, tokenizer, train_set, validation_set, arguments, callbacks)
        if process.rank > 0:
            return
        with checksummed_folder(Path("model")) as folder:
            model.save_pretrained(folder)
            tokenizer.model_max_length = recipe.max_length
            tokenizer.save_pretrained(folder)
            write_json(folder / "training.json", _provenance(recipe, device))
            write_json(folder / ORIGIN, origin)
        _write_metrics(result, train_rows=len(train_set), parameters=model.num_parameters())


def _fingerprint(recipe: TrainRecipe, device: "Device") -> dict[str, object]:
    """What decides the weights, besides the files read: a run is resumed only with the same."""
    return {
        "train": recipe.train.model_dump(),
        "evaluation batch": recipe.evaluation_batch_size,
        "validation": recipe.validation_set,
        "labels": recipe.labels,
        "processes": recipe.processes,
        **_provenance(recipe, device),
    }


def _provenance(recipe: TrainRecipe, device: "Device") -> dict[str, str | int]:
    """What the weights came from, beside the parameters: it travels with the model."""
    import platform

    import tokenizers
    import torch
    import transformers

    n = recipe.processes
    shared = f"; {n} processes shared each batch" if n > 1 else ""
    return {
        "base": recipe.base,
        "device": device.name,
        "precision": device.precision,
        "precision_wanted": device.wanted,
        "reason": device.reason + shared,
        "threads": torch.get_num_threads(),  # threads decide the order of additions
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
    }


def _write_metrics(result: "TrainingResult", train_rows: int, parameters: int) -> None:
    figures: dict[str, float] = {
        "steps": result.steps,
        "epochs": result.epochs,
        "train_rows": train_rows,
        "parameters": parameters,
        "model_bytes": Path("model/model.safetensors").stat().st_size,
    }
    if result.best_epoch is not None:
        figures["best_epoch"] = result.best_epoch
    write_json(Path("metrics/train.json"), figures)
    write_json(Path("metrics/train_time.json"), {"train_seconds": result.seconds})


if __name__ == "__main__":
    run_stage("train", __doc__, main, reads=READS)
