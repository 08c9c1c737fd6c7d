"""Fetch the reviews and the base, known by their sha256, from a mirror folder or from the hub.

Sources are tried in this order: sample/hub (embedded), the folder that CARDPROOF_MIRROR names,
the hub (HF_ENDPOINT is respected). This is the only stage that uses the network.
"""

import os
from pathlib import Path

from cardproof.cli import run_stage
from cardproof.params import Base, Reviews, load_recipe
from cardproof.sources import MIRROR_VARIABLE, PinnedFile, Repository, fetch

EMBEDDED = Path("sample/hub")


def main() -> None:
    """Fetch both repositories into data/reviews and data/base."""
    recipe = load_recipe()
    mirrors = [EMBEDDED]
    if mirror := os.environ.get(MIRROR_VARIABLE):
        mirrors.append(Path(mirror))
    _fetch(_reviews_repository(recipe.reviews), Path("data/reviews"), mirrors)
    _fetch(_base_repository(recipe.base), Path("data/base"), mirrors)


def _fetch(repository: Repository, folder: Path, mirrors: list[Path]) -> None:
    for fetched in fetch(repository, folder, mirrors=mirrors):
        print(f"{fetched.path}: {fetched.size:,} bytes from {fetched.source}")


def _reviews_repository(reviews: Reviews) -> Repository:
    files = (
        PinnedFile(reviews.train.path, reviews.train.sha256, target="train.parquet"),
        PinnedFile(reviews.test.path, reviews.test.sha256, target="test.parquet"),
    )
    return Repository("dataset", reviews.repository, reviews.revision, files)


def _base_repository(base: Base) -> Repository:
    files = tuple(PinnedFile(path, sha256) for path, sha256 in base.files.items())
    return Repository("model", base.repository, base.revision, files)


if __name__ == "__main__":
    run_stage("download", __doc__, main, network=True)
