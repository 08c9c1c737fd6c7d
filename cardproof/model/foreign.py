"""Settings of other people's checkpoints by which a loader would fetch or run code.

`auto_map` names Python files of the repository, or of another one. An attention implementation may
be `owner/name`: transformers then fetches a compiled kernel of that name from the hub and runs it,
whatever `trust_remote_code` says.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

RUN_CODE = frozenset(
    {
        "auto_map", "custom_generate", "custom_pipelines", "kernel_config", "use_kernels",
        *(f"{prefix}{what}_implementation{suffix}" for prefix in ("", "_")
          for what in ("attn", "experts") for suffix in ("", "_internal")),
    }
)  # fmt: skip


def without_code(settings: Any) -> tuple[Any, list[str]]:
    """Settings without what would have code fetched or run, at any depth, and the keys left out."""
    if isinstance(settings, list):
        parts = [without_code(item) for item in settings]
        return [kept for kept, _ in parts], [key for _, keys in parts for key in keys]
    if not isinstance(settings, dict):
        return settings, []
    kept, left_out = {}, [key for key in settings if key in RUN_CODE]
    for key in settings.keys() - set(left_out):
        kept[key], keys = without_code(settings[key])
        left_out += keys
    return {key: kept[key] for key in settings if key in kept}, sorted(set(left_out))


def clean_settings(folder: Path) -> dict[str, Any]:
    """The settings of a checkpoint that hold something to leave out, cleaned, by file name.

    What is left out is printed.
    """
    cleaned = {}
    for path in sorted(folder.glob("*config.json")):
        try:
            kept, left_out = without_code(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, RecursionError):
            continue  # whoever loads it says what is wrong
        if left_out:
            print(f"{path}: {', '.join(left_out)} left out: a loader would fetch or run code")
            cleaned[path.name] = kept
    return cleaned


def is_quantised(folder: Path) -> bool:
    """Whether the settings of a checkpoint, at any depth, name a quantisation of its weights.

    transformers leaves such weights to other packages, or to kernels that it fetches from the hub.
    """
    found = []

    def look(part: dict[str, Any]) -> dict[str, Any]:
        found.append(part.get("quantization_config"))
        return part

    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"), object_hook=look)
    except (OSError, ValueError, RecursionError):
        return False  # as above
    return any(found)


@contextmanager
def safe_to_load(folder: Path) -> Iterator[Path]:
    """The folder, or one with the same files and cleaned settings, while the block runs."""
    cleaned = clean_settings(folder)
    if not cleaned:
        yield folder
        return
    with TemporaryDirectory() as name:
        copy = Path(name) / folder.name
        copy.mkdir()
        for path in folder.iterdir():
            if path.name in cleaned:
                text = json.dumps(cleaned[path.name], indent=2)
                (copy / path.name).write_text(text, encoding="utf-8")
                continue
            try:
                (copy / path.name).symlink_to(path.absolute())
            except OSError:  # no links on this disk
                shutil.copyfile(path, copy / path.name)
        yield copy
