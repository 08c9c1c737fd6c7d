"""Atomic writes: files appear complete or not at all, for they are renamed into their place.

What one stage writes for another comes with the checksums of its files, which the other verifies:
DVC itself trusts a file whose time and size it knows, and the objects of its own cache.
"""

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cardproof.errors import CardproofError

Scalar = str | int | float | bool | None

CHECKSUMS = "sums.json"  # in a folder: the sha256 of each other file in it

_GIVE_RIGHT = "give this user the right to it"
_REMEDIES = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room in your quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "make that disk writable",
    errno.EACCES: _GIVE_RIGHT,
    errno.EPERM: _GIVE_RIGHT,
    errno.EIO: "see in the system's log what is wrong with the disk",
}
_NO_ROOM = 2**16  # bytes: a disk with no more than this is full, whatever the error says


class FilesError(CardproofError):
    """A file or folder that cannot be written as asked."""


class DamagedError(FilesError):
    """A file that is not as the stage that made it left it."""


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
        FilesError: the disk is full, or not writable; an older file is untouched.
        OSError: the file cannot be written for another reason; likewise.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path, "new")
        beside = _beside(path, "new")
        try:
            beside.write_text(text, encoding="utf-8", newline="\n")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Scalar]) -> None:
    """Write a flat mapping as JSON, in its own order, atomically.

    Raises:
        FilesError: a value is not finite.
        OSError: the file cannot be written; an older one is untouched.
    """
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise FilesError(f"{path}: {key} is {value}, which JSON cannot hold; find its cause")
    text = json.dumps(dict(values), indent=2, ensure_ascii=False, allow_nan=False)
    write_text_atomic(path, text + "\n")


def replace_folder(new: Path, final: Path) -> None:
    """Rename a finished folder into place; an older one is removed after that.

    Of two processes that do this at once, each puts a complete folder there; the later one stays.

    Args:
        new: the finished folder, a sibling of `final` (a rename does not cross file systems).
        final: where it goes. A link there is replaced, not followed.

    Raises:
        FilesError: something other than a folder is in the way.
        OSError: a rename failed; the older folder is back in its place.
    """
    if not final.is_dir() and (final.exists() or final.is_symlink()):
        raise FilesError(f"{final}: a file is where a folder must go; move it away and run again")
    aside: list[Path] = []
    try:
        while True:
            with suppress(FileNotFoundError):  # there is none, or another process has moved it
                aside.append(final.rename(_beside(final, "old")))
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
            _remove(old)


@contextmanager
def working_folder(final: Path) -> Iterator[Path]:
    """A fresh folder beside `final` that takes its place if the block succeeds.

    If the block fails the fresh folder is removed and `final` is as it was. What a killed process
    left there is removed.

    Raises:
        FilesError: something other than a folder is at `final`, or the disk is full or not
            writable.
        OSError: the folder cannot be made or renamed.
    """
    final = final.absolute()
    with scratch_folder(final) as work:
        yield work
        replace_folder(work, final)
    _sweep(final, "old")


@contextmanager
def checksummed_folder(final: Path) -> Iterator[Path]:
    """A `working_folder` that gets the checksums of its files, for `verify_checksums` later."""
    with working_folder(final) as folder:
        yield folder
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        checksums = {p.relative_to(folder).as_posix(): sha256_of(p) for p in files}
        write_json(folder / CHECKSUMS, checksums)


def verify_checksums(folder: Path, maker: str) -> None:
    """Compare each file of a folder with the checksum that was written beside it.

    Args:
        folder: made by `checksummed_folder`.
        maker: the stage that makes it, for the advice.

    Raises:
        DamagedError: a file is missing or is another; it is named, with both checksums.
    """
    advice = f"\n`dvc repro -f -s {maker}` makes it again, then `dvc repro` goes on."
    if not folder.is_dir():
        raise DamagedError(f"{folder} is not there.{advice}")
    try:
        checksums = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        expected = {folder / name: str(value) for name, value in checksums.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise DamagedError(f"{folder / CHECKSUMS} cannot be read: {error}.{advice}") from error
    found = {path: sha256_of(path) if path.is_file() else "no file" for path in expected}
    if wrong := [path for path in expected if found[path] != expected[path]]:
        lines = [
            f"{path} is not as {maker} wrote it.\n"
            f"  expected sha256 {expected[path]}\n  found           {found[path]}"
            for path in wrong
        ]
        more = "\nMore may be damaged, in DVC's cache too: `cardproof verify` tells."
        raise DamagedError("\n".join(lines) + advice + more)


@contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """A fresh, hidden folder beside `place`, removed in the end; what killed processes left goes.

    Raises:
        FilesError: the disk is full or not writable, also where the block finds it so.
        OSError: the folder cannot be made for another reason.
    """
    with disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place, "new")
        folder = _beside(place, "new")
        try:
            folder.mkdir()  # not tempfile.mkdtemp: its folders cannot be read by others
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the disk, whatever library met it, into one that names `path`.

    Raises:
        FilesError: the disk is full, broken, or not writable.
    """
    try:
        yield
    except CardproofError:
        raise
    except Exception as error:
        number = _disk_fault(error, path)
        if number is None:
            raise
        named = getattr(error, "filename", None)
        if named is None or Path(named).name.startswith("."):  # a name of ours, beside `path`
            named = path
        raise FilesError(
            f"{named}: {os.strerror(number)}. Nothing half-written is left; {_REMEDIES[number]}, "
            "then `dvc repro` goes on."
        ) from error


def _disk_fault(error: BaseException, path: Path) -> int | None:
    """The number of the system's error behind `error`; None if it is not one of the disk's."""
    cause: BaseException | None = error
    while cause:
        # Libraries in Rust and C++ leave the number in the text alone, or leave it out.
        named = re.search(r"(?:os error|\[Errno|errno:?) (\d+)", str(cause))
        number = cause.errno if isinstance(cause, OSError) else None
        number = int(named[1]) if number is None and named else number
        if number in _REMEDIES:
            return number
        cause = cause.__cause__ or cause.__context__
    there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    return errno.ENOSPC if shutil.disk_usage(there).free <= _NO_ROOM else None


def _beside(path: Path, kind: str) -> Path:
    """A free name in the same folder, hidden; it tells the process that it is of."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.{kind}")


def _sweep(path: Path, kind: str) -> None:
    """Remove what killed processes left beside `path`."""
    for left in path.parent.glob(f".{path.name}.*-*.{kind}"):
        number = left.name.split(".")[-2].partition("-")[0]
        if not number.isdigit() or _runs(int(number)):
            continue
        _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
