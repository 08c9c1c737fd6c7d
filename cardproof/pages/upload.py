"""The copy of a finished model that goes to the hub."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from cardproof.files import CHECKSUMS, write_text_atomic
from cardproof.model.foreign import clean_settings

_UNNAMED = re.compile(r"LABEL_\d+")  # transformers' own names for classes that nobody named
# What transformers writes beside a tokenizer's settings: how this machine had loaded it.
_OF_THE_MACHINE = ("is_local", "local_files_only")


def copy_model(model: Path, folder: Path, names: list[str]) -> list[str]:
    """Copy a model so that its pipeline answers in words, and nothing in it is of this machine.

    Args:
        model: the folder of a finished training.
        folder: the one to copy it to.
        names: of classes 0 and 1, where the model has none of its own.

    Returns:
        The names that the copy answers with: the card's or the base's own, or else `names`.
    """
    shutil.copytree(model, folder, ignore=lambda *_: [CHECKSUMS], dirs_exist_ok=True)
    for name, cleaned in clean_settings(folder).items():
        _write(folder / name, cleaned)
    config, tokenizer = _read(folder / "config.json"), _read(folder / "tokenizer_config.json")
    labels = _labels(config, names)
    config["id2label"] = {str(i): label for i, label in enumerate(labels)}
    config["label2id"] = {label: i for i, label in enumerate(labels)}
    _write(folder / "config.json", config)
    kept = {key: value for key, value in tokenizer.items() if key not in _OF_THE_MACHINE}
    _write(folder / "tokenizer_config.json", kept)
    return labels


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _write(path: Path, values: dict[str, Any]) -> None:
    """As transformers writes it: the keys in order."""
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False)
    write_text_atomic(path, text + "\n")


def _labels(config: dict[str, Any], names: list[str]) -> list[str]:
    own = [label for _, label in sorted(config.get("id2label", {}).items())]
    unnamed = len(own) != len(names) or any(_UNNAMED.fullmatch(label) for label in own)
    return names if unnamed else own
