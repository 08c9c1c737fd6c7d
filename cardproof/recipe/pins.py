"""What sources.yaml may pin: names that stay in their folder, formats that run no code, commits."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Annotated, TypeVar

from pydantic import AfterValidator

_RUNS_CODE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".msgpack")
Paths = TypeVar("Paths", bound=Iterable[str])


def _check_name(value: str) -> str:
    parts = value.split("/")
    if "\\" in value or not value.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"{value!r} must be a plain relative name: parts joined by /, none of them empty, . or "
            ".., no backslash"
        )
    return value


def check_path(value: str) -> str:
    """A path in a repository.

    Raises:
        ValueError: it leads out of the repository, or its format can run code when it is loaded.
    """
    if PurePosixPath(value).suffix.lower() in _RUNS_CODE:
        raise ValueError(
            f"{value!r} is of a format that can run code (pickle can run code); pin the "
            ".safetensors file of the repository instead"
        )
    return _check_name(value)


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
