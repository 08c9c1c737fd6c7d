"""Files that appear whole or not at all: written beside their place, then renamed into it."""

import errno
import hashlib
import json
import math
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cardproof.errors import CardproofError

Scalar = str | int | float | bool | None


class FilesError(CardproofError):
    """A file or folder that cannot be written as asked."""


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_text_atomic(path: Path, text: str) -> None:
    """Write a text file in UTF-8 so that a reader sees the old text or the new, never a part.

    Parent folders are made. A link at `path` is replaced, not written through: with DVC it may
    lead into the cache.

    Raises:
        OSError: the file cannot be written; an older one is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path, "new")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Scalar]) -> None:
    """Write a flat mapping as JSON, in its own order, whole or not at all.

    Raises:
        FilesError: a value is not finite, or is not text, a number, true, false or None.
        OSError: the file cannot be written; an older one is untouched.
    """
    for key, value in values.items():
        if value is not None and not isinstance(value, (str, int, float)):
            kind = type(value).__name__
            raise FilesError(f"{path}: {key} is a {kind}; make it a plain text or number")
        if isinstance(value, float) and not math.isfinite(value):
            raise FilesError(f"{path}: {key} is {value}, which JSON cannot hold; find its cause")
    text = json.dumps(dict(values), indent=2, ensure_ascii=False, allow_nan=False)
    write_text_atomic(path, text + "\n")


def replace_folder(new: Path, final: Path) -> None:
    """Rename a finished folder into place; an older one is removed after that.

    Of two processes that do this at once, each puts a whole folder there, and the later stays.

    Args:
        new: the finished folder, a sibling of `final` (a rename does not cross file systems).
        final: where it goes. A link there is replaced, not followed.

    Raises:
        FilesError: something other than a folder is in the way.
        OSError: a rename failed; the older folder is back in its place.
    """
    aside: list[Path] = []
    try:
        while True:
            with suppress(FileNotFoundError):  # there is none, or another process has moved it
                aside.append(_move_aside(final))
            try:
                new.rename(final)
                break
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise  # these two: another process has put its own there meanwhile
    except BaseException:
        if aside and not final.exists():
            aside.pop().rename(final)
        raise
    finally:
        for old in aside:
            if old.is_symlink():
                old.unlink()
            else:
                shutil.rmtree(old)


def _move_aside(folder: Path) -> Path:
    """Rename the folder, or the link, to a free name beside it.

    Raises:
        FileNotFoundError: there is none.
    """
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError:
        if not folder.is_symlink():
            raise
        is_folder = False  # a link to nothing
    if not is_folder:
        raise FilesError(f"{folder}: a file is where a folder must go; move it away and run again")
    old = _beside(folder, "old")
    folder.rename(old)
    return old


@contextmanager
def working_folder(final: Path) -> Iterator[Path]:
    """A fresh folder beside `final` that takes its place if the block succeeds.

    If the block fails the fresh folder is removed and `final` is as it was.

    Raises:
        FilesError: something other than a folder is at `final`.
        OSError: the folder cannot be made or renamed.
    """
    final = final.absolute()
    final.parent.mkdir(parents=True, exist_ok=True)
    work = _beside(final, "new")
    work.mkdir()  # not tempfile.mkdtemp: its folders cannot be read by others
    try:
        yield work
        replace_folder(work, final)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _beside(path: Path, kind: str) -> Path:
    """A free name in the same folder, hidden."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{kind}")
