"""Atomic writes: files appear complete or not at all, for they are renamed into their place.

What is renamed is on the disk first, and its new name after that: a power cut leaves the old or the
new.

What one stage writes for another comes with checksums, which the other verifies: DVC itself trusts
a file whose time and size it knows, and the objects of its own cache.
"""

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cardproof.errors import CardproofError

Scalar = str | int | float | bool | None

CHECKSUMS = "sums.json"  # in a folder: the sha256 of each other file in it

_REMEDIES = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room in your quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "make that disk writable",
    errno.EACCES: "give this user the right to it",
    errno.EPERM: "give this user the right to it",
    errno.EIO: "see in the system's log what is wrong with the disk",
}
_HIDDEN = re.compile(r"\.(\d{1,9})-[0-9a-f]{8}\.(?:new|old)\b")  # names of `_hidden_name`
_NO_ROOM = 2**16  # bytes: a disk with no more than this is full, whatever the error says


class FilesError(CardproofError):
    """A file or folder that cannot be written as asked."""


class DamagedError(FilesError):
    """A file that is not as the stage that made it left it."""


def digest_of(path: Path, algorithm: str) -> str:
    """The digest of a file's bytes by an algorithm of hashlib, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal digits."""
    return digest_of(path, "sha256")


def checksum_lines(expected: str, found: str, kind: str = "sha256") -> str:
    """Two lines of an error: the checksum that was expected, and the one that was found."""
    return f"  expected {kind} {expected}\n  found {kind}    {found}"


def write_text_atomic(path: Path, text: str) -> None:
    """Write a text file in UTF-8 so that a reader sees the old text or the new, never a part.

    A link at `path` is replaced, not written through: with DVC it may lead into the cache.

    Raises:
        FilesError: the disk is full or not writable; an older file is untouched.
        OSError: the file cannot be written for another reason; likewise.
    """
    with scratch_folder(path) as folder:
        new = folder / path.name
        new.write_text(text, encoding="utf-8", newline="\n")
        _sync(new)
        new.replace(path)
        _sync(path.parent)


def write_json(path: Path, values: Mapping[str, Scalar]) -> None:
    """Write a flat mapping as JSON, in its own order, as `write_text_atomic`.

    Raises:
        FilesError: a value is not finite.
    """
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise FilesError(f"{path}: {key} is {value}, which JSON cannot hold; find its cause")
    text = json.dumps(dict(values), indent=2, ensure_ascii=False, allow_nan=False)
    write_text_atomic(path, text + "\n")


def replace_folder(new: Path, final: Path) -> None:
    """Rename a finished folder into place; an older one is removed after that.

    Both have one parent: a rename does not cross file systems. A link to a folder is replaced, not
    followed. Of two processes that do this at once, each puts a complete folder there; the later
    one stays.

    Raises:
        FilesError: something other than a folder is in the way.
        OSError: a rename failed; the older folder is back in its place.
    """
    try:  # asked once: another process may put its own there meanwhile
        in_the_way = not stat.S_ISDIR(final.stat().st_mode)
    except FileNotFoundError:
        in_the_way = final.is_symlink()  # to nothing
    if in_the_way:
        raise FilesError(f"{final}: a file is where a folder must go; move it away and run again")
    old = _hidden_name(final, "old")
    for path in (*new.rglob("*"), new):
        _sync(path)
    try:
        with suppress(FileNotFoundError):  # there is none, or another process has moved it
            final.rename(old)
        new.rename(final)
        _sync(final.parent)
    except BaseException as error:
        if getattr(error, "errno", None) in (errno.ENOTEMPTY, errno.EEXIST):
            replace_folder(new, final)  # another process has put its own there meanwhile
            return
        if old.exists() and not final.exists():
            old.rename(final)
        raise
    finally:
        _remove(old)


@contextmanager
def working_folder(final: Path) -> Iterator[Path]:
    """A `scratch_folder` that takes the place of `final` if the block succeeds.

    Raises:
        FilesError, OSError: as of `scratch_folder` and `replace_folder`; `final` is as it was.
    """
    with scratch_folder(final.absolute()) as work:
        yield work
        replace_folder(work, final.absolute())


@contextmanager
def checksummed_folder(final: Path) -> Iterator[Path]:
    """A `working_folder` that gets the checksums of its files, for `verify_checksums` later."""
    with working_folder(final) as folder:
        yield folder
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        checksums = {p.relative_to(folder).as_posix(): sha256_of(p) for p in files}
        write_json(folder / CHECKSUMS, checksums)


def verify_checksums(folder: Path, maker: str) -> dict[str, str]:
    """Compare each file of a `checksummed_folder` with the checksum that was written beside it.

    Args:
        folder: what to read.
        maker: the stage that makes it, for the advice.

    Returns:
        The sha256 of each file, by its path in the folder.

    Raises:
        DamagedError: a file is missing or is another; it is named, with both checksums.
    """
    advice = f"\n`dvc repro -f -s {maker}` makes it again, then `dvc repro` goes on."
    wrong = []
    if not folder.is_dir():
        raise DamagedError(f"{folder} is not there.{advice}")
    try:
        expected = dict(json.loads((folder / CHECKSUMS).read_text(encoding="utf-8")).items())
    except (OSError, ValueError, AttributeError) as error:
        raise DamagedError(f"{folder / CHECKSUMS} cannot be read: {error}.{advice}") from error
    for path, checksum in expected.items():
        found = sha256_of(folder / path) if (folder / path).is_file() else "no file"
        if found != checksum:
            lines = checksum_lines(checksum, found)
            wrong.append(f"{folder / path} is not as {maker} wrote it.\n{lines}")
    if wrong:
        more = "\nMore may be damaged, in DVC's cache too: `cardproof verify` tells."
        raise DamagedError("\n".join(wrong) + advice + more)
    return expected


@contextmanager
def scratch_folder(place: Path) -> Iterator[Path]:
    """A fresh, hidden folder beside `place`, removed in the end; what killed processes left goes.

    Raises:
        FilesError: the disk is full or not writable, also where the block finds it so.
        OSError: the folder cannot be made for another reason.
    """
    with disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        for left in place.parent.glob(f".{place.name}.*"):
            made_by = _HIDDEN.search(left.name)
            if made_by and not _runs(int(made_by[1])):
                _remove(left)
        folder = _hidden_name(place, "new")
        try:
            folder.mkdir()  # not tempfile.mkdtemp: its folders cannot be read by others
            yield folder
        finally:
            _remove(folder)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the disk, whatever library met it, into one that names `path`.

    Raises:
        FilesError: the disk is full, broken, or not writable.
    """
    try:
        yield
    except Exception as error:
        number = None if isinstance(error, CardproofError) else _disk_fault(error, path)
        if number is None:
            raise
        named = getattr(error, "filename", None) or path
        if _HIDDEN.search(str(named)):
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
        number = getattr(cause, "errno", None) or (int(named[1]) if named else None)
        if number in _REMEDIES:
            return number
        cause = cause.__cause__ or cause.__context__
    there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    return errno.ENOSPC if shutil.disk_usage(there).free <= _NO_ROOM else None


def _sync(path: Path) -> None:
    """Have the system write a file or a folder's names to the disk, and wait for it.

    File systems that cannot sync a folder say so by EINVAL; what is no file or folder is left.
    """
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _hidden_name(path: Path, kind: str) -> Path:
    """A free name in the same folder that tells which process uses it."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.{kind}")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()  # a file or a link
    shutil.rmtree(path, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno == errno.EPERM  # another user's
    return True
