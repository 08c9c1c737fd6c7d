"""Fetch the reviews and the base, known by their sha256, from a mirror folder or from the hub.

The sample is embedded, in sample/hub. All else comes from the folder that CARDPROOF_MIRROR names,
laid out like the hub, or from the hub (HF_ENDPOINT is respected). No other stage uses the network.
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
    _fetch(_reviews_repository(recipe.reviews), Path("data/reviews"))
    _fetch(_base_repository(recipe.base), Path("data/base"))


def _fetch(repository: Repository, folder: Path) -> None:
    """Get a repository from where it can be, and say where each file came from."""
    if repository.revision is None:
        mirrors = [EMBEDDED]
    else:
        # A queued run works in a folder of its own: a relative name is meant from the original.
        root = Path(os.environ.get("DVC_ROOT", "."))
        mirrors = [root / named] if (named := os.environ.get(MIRROR_VARIABLE)) else []
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
