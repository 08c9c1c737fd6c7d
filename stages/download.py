"""Resolve the recipe, and fetch the reviews and the base that it names, known by their sha256.

params.yaml, cards/ and sources.yaml are checked before anything is touched.

The sample is embedded, in sample/hub. All else comes from the folder that CARDPROOF_MIRROR names,
laid out like the hub, or from the hub (HF_ENDPOINT is respected). The IMDb reviews may also lie
there as the original archive, aclImdb_v1.tar.gz, or unpacked. Reviews of your own are read where
params.yaml says. No other stage uses the network.
"""

import os
from pathlib import Path

from cardproof.data.hub import MIRROR_VARIABLE, PinnedFile, Repository, fetch
from cardproof.data.imdb_archive import Pins, find_archive, import_archive
from cardproof.data.user_files import import_reviews
from cardproof.files import checksummed_folder
from cardproof.recipe.load import load_recipe
from cardproof.recipe.schema import Archive, Base, File, Recipe, Reviews
from cardproof.recipe.stages import write_stage_recipes
from cardproof.stage import run_stage

EMBEDDED = Path("sample/hub")
REVIEWS = Path("data/reviews")


def main() -> None:
    """Write data/reviews, data/base and, when they are there, data/recipe/<stage>.json."""
    recipe = load_recipe()
    _say(recipe)
    # A queued run works in a folder of its own: a relative name is meant from the original.
    root = Path(os.environ.get("DVC_ROOT", "."))
    named = os.environ.get(MIRROR_VARIABLE)
    mirrors = [root / named] if named else []
    if recipe.user_reviews:
        _import_own(recipe, root)
    else:
        repository = _reviews_repository(recipe.reviews)
        pins, archive = recipe.reviews.archive, _archive_instead(repository, mirrors)
        if pins is not None and archive is not None:
            _import_archive(archive, pins)
        else:
            _fetch(repository, REVIEWS, mirrors)
    _fetch(_base_repository(recipe.base), Path("data/base"), mirrors)
    write_stage_recipes(recipe)


def _say(recipe: Recipe) -> None:
    print(f"card {recipe.name}: reviews {recipe.reviews_name}, base {recipe.base_name}")
    for deviation in recipe.deviations:
        print(
            f"  deviates from the card: {deviation.key} is {deviation.ours}, not {deviation.card}"
        )


def _fetch(repository: Repository, folder: Path, mirrors: list[Path]) -> None:
    """Get a repository from where it can be, and say where each file came from."""
    if repository.revision is None:  # not on the hub
        mirrors = [*mirrors, EMBEDDED]
    for fetched in fetch(repository, folder, mirrors=mirrors):
        print(f"{fetched.path}: {fetched.size:,} bytes from {fetched.source}")


def _import_own(recipe: Recipe, root: Path) -> None:
    """Turn the user's files into reviews, and say what is in them."""
    with checksummed_folder(REVIEWS) as folder:
        for name, file in (("train", recipe.reviews.train), ("test", recipe.reviews.test)):
            source = root / Path(file.path).expanduser()
            imported = import_reviews(source, folder / f"{name}.parquet", file.sha256)
            print(f"{REVIEWS / name}.parquet: {imported.written.rows:,} reviews from {source}")
            for remark in imported.remarks:
                print(f"  {remark}")
            if file.sha256 is None:
                key = f"reviews.{recipe.reviews_name}.{name}.sha256"
                print(f"  for DVC to see when it changes, set {key}: {imported.sha256}")


def _archive_instead(repository: Repository, mirrors: list[Path]) -> Path | None:
    """The original archive in the first mirror that has it and not the pinned files."""
    for mirror in mirrors:
        if all((mirror / repository.layout(file)).is_file() for file in repository.files):
            return None
        if found := find_archive(mirror):
            return found
    return None


def _import_archive(archive: Path, pins: Archive) -> None:
    """Turn the original archive into the pinned reviews, and say which archive it was."""
    with checksummed_folder(REVIEWS) as folder:
        source, written = import_archive(archive, folder, Pins(pins.md5, pins.train, pins.test))
    for split, of_split in written.items():
        print(f"{REVIEWS / split}.parquet: {of_split.rows:,} reviews from {source}")


def _reviews_repository(reviews: Reviews) -> Repository:
    files = (_pinned(reviews.train, "train.parquet"), _pinned(reviews.test, "test.parquet"))
    return Repository("dataset", reviews.repository, reviews.revision, files)


def _pinned(file: File, target: str) -> PinnedFile:
    return PinnedFile(file.path, file.sha256 or "", target)  # a repository's file has a sum


def _base_repository(base: Base) -> Repository:
    files = tuple(PinnedFile(path, sha256) for path, sha256 in base.files.items())
    return Repository("model", base.repository, base.revision, files)


if __name__ == "__main__":
    run_stage("download", __doc__, main, network=True)
