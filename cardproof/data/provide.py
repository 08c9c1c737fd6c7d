"""Puts a recipe's reviews into data/reviews and its base into data/base; nothing if they are there.

The sample is embedded, in sample/hub. All else comes from the folder that CARDPROOF_MIRROR names,
laid out like the hub, or from the hub. The IMDb reviews may also lie in that folder as the original
archive, and user files lie where they are said to.
"""

import json
import os
from pathlib import Path

from cardproof.data.hub import PinnedFile, Repository, fetch, find_in_mirror
from cardproof.data.imdb_archive import FILE, FOLDER, import_archive
from cardproof.data.rows import rows_checksum
from cardproof.data.user_files import (
    checked_sha256,
    import_reviews,
    read_reviews_file,
    remarks,
    unreadable,
)
from cardproof.files import CHECKSUMS, FilesError, checksummed_folder, verify_checksums, write_json
from cardproof.recipe.environment import MIRROR_VARIABLE
from cardproof.recipe.faults import RecipeError
from cardproof.recipe.identity import identity_of
from cardproof.recipe.load import SOURCES
from cardproof.recipe.schema import Base, Identity, Reviews

EMBEDDED = Path("sample/hub")
REVIEWS = Path("data/reviews")
BASE = Path("data/base")
MADE_FROM = "made_from.json"  # in REVIEWS: what reviews that are no copies of pinned files were


def provide_reviews(reviews: Reviews, root: Path) -> list[str]:
    """Put a repository's reviews into data/reviews as train.parquet and test.parquet.

    Args:
        reviews: names the repository and its two files.
        root: what a relative CARDPROOF_MIRROR starts from: a queued run works in another folder.

    Returns:
        What to print: where each file came from, or that it was there.

    Raises:
        CardproofError: they cannot be had, or are not what is pinned; the folder is as it was.
    """
    files = tuple(
        # The sha256 is there: a recipe refuses a repository's file without one.
        PinnedFile(file.path, file.sha256 or "", f"{split}.parquet")
        for split, file in (("train", reviews.train), ("test", reviews.test))
    )
    repository = Repository("dataset", reviews.repository, reviews.revision, files)
    if pins := reviews.archive:
        rows = {"train rows": pins.train, "test rows": pins.test}
        if _is_made_from(rows):
            return [f"{REVIEWS}: already there, made from an archive with the pinned rows"]
        archive = _archive_instead(repository, _mirrors(root))
        if archive and not _is_copy(REVIEWS, repository):
            with checksummed_folder(REVIEWS) as folder:
                source, written = import_archive(archive, folder, pins)
                write_json(folder / MADE_FROM, rows)
            return [
                f"{REVIEWS / split}.parquet: {of_split.rows:,} reviews from {source}"
                for split, of_split in written.items()
            ]
    return _provide_copy(repository, REVIEWS, root)


def provide_user_reviews(name: str, reviews: Reviews, root: Path) -> list[str]:
    """Turn user files into data/reviews, as `provide_reviews`; `name` is that of their entry."""
    sources = _user_files(name, reviews, root)
    checksums, lines, advice = {}, [], []
    for split, file in (("train", reviews.train), ("test", reviews.test)):
        checksums[split] = checked_sha256(sources[split], file.sha256)
        if file.sha256 is None:
            advice.append(
                f"  for DVC to see when {sources[split].name} changes, set "
                f"reviews.{name}.{split}.sha256: {checksums[split]}"
            )
    if _is_made_from(checksums):
        return [f"{REVIEWS}: already there, made from these user files", *advice]
    with checksummed_folder(REVIEWS) as folder:
        for split, source in sources.items():
            written = import_reviews(source, folder / f"{split}.parquet")
            lines.append(f"{REVIEWS / split}.parquet: {written.rows:,} reviews from {source}")
            lines += [f"  {remark}" for remark in remarks(written)]
        write_json(folder / MADE_FROM, checksums)
    return lines + advice


def _user_files(name: str, reviews: Reviews, root: Path) -> dict[str, Path]:
    """Where a user's files are, by split.

    Raises:
        RecipeError: one cannot be read; with its key in sources.yaml.
    """
    sources, faults = {}, []
    for split, file in (("train", reviews.train), ("test", reviews.test)):
        try:
            sources[split] = root / Path(file.path).expanduser()
            fault = unreadable(sources[split])
        except (OSError, RuntimeError, ValueError) as error:  # no such user; a NUL; no right
            fault = f"cannot be read: {error}"
        if fault:
            shown = file.path if len(file.path) <= 200 else f"{file.path[:197]}..."
            faults.append(f"{SOURCES}: reviews.{name}.{split}.path: {shown} {fault}")
    if faults:
        raise RecipeError(faults)
    return sources


def provide_base(base: Base, root: Path) -> list[str]:
    """Put the files of a base into data/base; otherwise as `provide_reviews`."""
    files = tuple(
        PinnedFile(path, sha256, path.rpartition("/")[2]) for path, sha256 in base.files.items()
    )
    return _provide_copy(Repository("model", base.repository, base.revision, files), BASE, root)


def identify() -> Identity:
    """What lies in data/reviews and data/base, by its bytes.

    Raises:
        ReviewsError: the reviews are not such as the later stages can read.
        DamagedError: a base's file is not as it was written.
    """
    files = verify_checksums(BASE, "download")
    return Identity(reviews=identify_reviews(), base=identity_of(files))


def identify_reviews() -> str:
    """The identity of the rows in data/reviews; otherwise as `identify`."""
    rows = {
        split: rows_checksum(read_reviews_file(REVIEWS / f"{split}.parquet"))
        for split in ("train", "test")
    }
    return identity_of(rows)


def _provide_copy(repository: Repository, folder: Path, root: Path) -> list[str]:
    if _is_copy(folder, repository):
        return [f"{folder}: already there, with the pinned checksums"]
    mirrors = _mirrors(root) + ([] if repository.revision else [EMBEDDED])
    sources = fetch(repository, folder, mirrors=mirrors)
    return [
        f"{folder / name}: {(folder / name).stat().st_size:,} bytes from {source}"
        for name, source in sources.items()
    ]


def _mirrors(root: Path) -> list[Path]:
    named = os.environ.get(MIRROR_VARIABLE)
    return [root / named] if named else []


def _archive_instead(repository: Repository, mirrors: list[Path]) -> Path | None:
    """The original archive in the first mirror that has it and not the pinned files."""
    for mirror in mirrors:
        if not all(find_in_mirror(mirror, repository.layout(file)) for file in repository.files):
            return find_in_mirror(mirror, FILE) or find_in_mirror(mirror, FOLDER)
    return None


def _is_copy(folder: Path, repository: Repository) -> bool:
    """Whether the folder holds the pinned files, and no others."""
    return _checksums(folder) == {file.name: file.sha256 for file in repository.files}


def _is_made_from(wanted: dict[str, str]) -> bool:
    """Whether the reviews that are there were made from what is wanted."""
    return MADE_FROM in _checksums(REVIEWS) and wanted == json.loads(
        (REVIEWS / MADE_FROM).read_text(encoding="utf-8")
    )


def _checksums(folder: Path) -> dict[str, str]:
    """The sha256 of each file of a folder; nothing if one is not as it was when it was written."""
    try:
        noted = verify_checksums(folder, "download")
    except (OSError, FilesError):
        return {}
    return noted if {p.name for p in folder.iterdir()} == {*noted, CHECKSUMS} else {}
