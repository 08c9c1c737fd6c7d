"""What sources.yaml may pin: names that stay in their folder, formats that run no code, commits."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Annotated, TypeVar

from pydantic import AfterValidator

_RUNS_CODE = (
    ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".dill", ".joblib", ".npy", ".npz", ".h5",
    ".keras", ".msgpack", ".py", ".so",
)  # fmt: skip
BASE_FORMATS = (".safetensors", ".json", ".txt", ".model")  # what a base and its tokenizer need
_RESERVED = ("sums.json", "made_from.json")  # what is written beside the files of a data folder
_LONGEST = 200  # characters of a part: file systems end at 255 bytes, and locks append to it
Paths = TypeVar("Paths", bound=Iterable[str])


def _check_plain(value: str) -> str:
    parts = value.split("/")
    if "\\" in value or not value.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"{value[:80]!r} must be a plain relative name: parts joined by /, none of them empty, "
            ". or .., no backslash"
        )
    if too_long := [part for part in parts if len(part.encode()) > _LONGEST]:
        raise ValueError(f"{too_long[0][:80]!r}... must be of {_LONGEST} bytes at most")
    return value


def _check_name(value: str) -> str:
    _check_plain(value)
    parts = value.split("/")
    if (
        len(parts) > 2
        or not all(re.fullmatch(r"\w[\w.-]{0,94}\w|\w", part, re.ASCII) for part in parts)
        or re.search(r"--|\.\.|\.git$", value)
    ):
        raise ValueError(
            f"{value[:80]!r} must be a name as the hub has them, such as owner/name: letters, "
            "digits, _, - and . inside, no -- or .., 96 characters a part at most, no .git"
        )
    return value


def check_path(value: str, formats: tuple[str, ...] = BASE_FORMATS) -> str:
    """A path in a repository.

    Args:
        value: the path.
        formats: the suffixes that it may have.

    Raises:
        ValueError: it leads out of the repository, its format can run code when it is loaded or is
            not read at all, or it has the name of a file that is written beside it.
    """
    _check_plain(value)
    path = PurePosixPath(value)
    if runs := [s for s in path.suffixes if s.lower() in _RUNS_CODE]:
        raise ValueError(
            f"{value[:80]!r} is of a format that can run code, {runs[0]}; pin the "
            ".safetensors file of the repository instead"
        )
    if path.suffix not in formats:
        raise ValueError(f"{value[:80]!r} is of no format that is read: {', '.join(formats)}")
    if path.name == "adapter_config.json":
        raise ValueError(f"{value[:80]!r} is of an adapter, which names another base; merge it")
    if path.name in _RESERVED:
        raise ValueError(f"{value[:80]!r} is the name of a file that is written beside it")
    return value


def _check_commit(value: str) -> str:
    if not re.fullmatch("[0-9a-f]{40}", value):
        raise ValueError(
            f"{value!r} must be a commit, 40 hexadecimal digits: a branch or a tag can move"
        )
    return value


def _check_flat(paths: Paths) -> Paths:
    taken: dict[str, str] = {}
    for path in paths:
        name = path.rpartition("/")[2]
        other = taken.setdefault(name.casefold(), path)  # macOS holds A and a to be one
        if other != path:
            raise ValueError(f"{other} and {path} would both become {name}; keep one of them")
    return paths


RepositoryName = Annotated[str, AfterValidator(_check_name)]
RepositoryPath = Annotated[str, AfterValidator(check_path)]
Commit = Annotated[str, AfterValidator(_check_commit)]
Flat = AfterValidator(_check_flat)  # paths whose files get along in one folder
