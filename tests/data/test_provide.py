"""Data folders: filled from wherever the files are, and left alone when they are right."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardproof.data.imdb_archive import FILE, ArchiveError
from cardproof.data.provide import provide_base, provide_reviews, provide_user_reviews
from cardproof.data.receive import SourceError
from cardproof.recipe.environment import MIRROR_VARIABLE
from cardproof.recipe.faults import RecipeError
from cardproof.recipe.schema import Base, File, Reviews
from dev.loopback import REVISION, Hub, sha
from tests.data.test_imdb_archive import SMALL, pack, pins_of

CONTENTS = {"config.json": b"{}", "model.safetensors": b"weights" * 1000, "vocab.txt": b"[PAD]\n"}


def base_of(contents: dict[str, bytes]) -> Base:
    checksums = {name: sha(data) for name, data in contents.items()}
    return Base(repository="some/base", revision=None, max_positions=512, files=checksums)


def fill(mirror: Path, contents: dict[str, bytes]) -> None:
    for name, data in contents.items():
        (mirror / "some/base").mkdir(parents=True, exist_ok=True)
        (mirror / "some/base" / name).write_bytes(data)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty mirror, named relative to the repository's root; the run works in another folder."""
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    monkeypatch.setenv(MIRROR_VARIABLE, "mirror")
    (tmp_path / "mirror").mkdir()
    return tmp_path / "mirror"


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Which files there are: their names, inodes and times."""
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_a_base_that_is_right_is_not_touched(mirror: Path, tmp_path: Path) -> None:
    fill(mirror, CONTENTS)
    lines = provide_base(base_of(CONTENTS), tmp_path)
    assert lines[1] == f"data/base/model.safetensors: 7,000 bytes from mirror {mirror}"
    before = state(Path("data/base"))
    shutil.rmtree(mirror)  # no source is needed
    assert provide_base(base_of(CONTENTS), tmp_path) == [
        "data/base: already there, with the pinned checksums"
    ]
    assert state(Path("data/base")) == before


@pytest.mark.parametrize("fault", ["damaged", "missing", "unlisted", "stale", "no checksums"])
def test_a_base_that_is_not_right_is_replaced_whole(
    mirror: Path, tmp_path: Path, fault: str
) -> None:
    fill(mirror, CONTENTS)
    base, folder = base_of(CONTENTS), Path("data/base")
    provide_base(base, tmp_path)
    if fault == "damaged":
        (folder / "model.safetensors").write_bytes(b"weighty" * 1000)
    elif fault == "missing":
        (folder / "vocab.txt").unlink()
    elif fault == "unlisted":
        (folder / "tokenizer.json").write_text("{}")
    elif fault == "stale":  # of another card
        base = base_of({name: data for name, data in CONTENTS.items() if name != "vocab.txt"})
    else:
        (folder / "sums.json").unlink()
    assert len(provide_base(base, tmp_path)) == len(base.files)
    assert {p.name for p in folder.iterdir()} == {*base.files, "sums.json"}
    for name in base.files:
        assert (folder / name).read_bytes() == CONTENTS[name]
    assert [p.name for p in Path("data").iterdir()] == ["base"]


def test_a_base_that_cannot_be_had_leaves_the_other_one(mirror: Path, tmp_path: Path) -> None:
    fill(mirror, CONTENTS)
    provide_base(base_of(CONTENTS), tmp_path)
    before = state(Path("data/base"))
    with pytest.raises(SourceError, match=r"not on the hub .*\n.*put these files there by hand"):
        provide_base(base_of(CONTENTS | {"more.json": b"[]"}), tmp_path)
    assert state(Path("data/base")) == before


def test_a_part_from_the_mirror_and_a_part_from_the_hub(
    hub: Hub, mirror: Path, tmp_path: Path
) -> None:
    fill(mirror, {"config.json": CONTENTS["config.json"]})
    hub.files = {f"/some/base/resolve/{REVISION}/{name}": data for name, data in CONTENTS.items()}
    base = base_of(CONTENTS).model_copy(update={"revision": REVISION})
    lines = provide_base(base, tmp_path)
    assert lines[0].endswith(f"from mirror {mirror}")
    assert lines[1].endswith(f"from hub {hub.url}")
    assert not hub.sent[f"/some/base/resolve/{REVISION}/config.json"]


def test_the_archive_is_read_once_and_only_where_the_files_are_not(
    mirror: Path, tmp_path: Path
) -> None:
    archive = pack(SMALL, mirror / FILE)
    reviews = Reviews(
        repository="some/reviews",
        revision=None,
        train=File(path="train.parquet", sha256=sha(b"train")),
        test=File(path="test.parquet", sha256=sha(b"test")),
        archive=pins_of(SMALL, tmp_path),
    )
    lines = provide_reviews(reviews, tmp_path)
    assert lines[0].startswith(f"data/reviews/train.parquet: 260 reviews from archive {archive}")
    before = state(Path("data/reviews"))
    assert provide_reviews(reviews, tmp_path) == [
        "data/reviews: already there, made from an archive with the pinned rows"
    ]
    assert state(Path("data/reviews")) == before
    shutil.rmtree("data/reviews")
    for name in ("train", "test"):  # what the hub has comes first
        path = mirror / f"datasets/some/reviews/{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    assert "5 bytes from mirror" in provide_reviews(reviews, tmp_path)[0]
    shutil.rmtree(mirror / "datasets")  # the archive alone again: what is there will do
    assert provide_reviews(reviews, tmp_path) == [
        "data/reviews: already there, with the pinned checksums"
    ]
    archive.write_bytes(b"<html>")
    shutil.rmtree("data/reviews")
    with pytest.raises(ArchiveError, match="Not a gzipped file"):
        provide_reviews(reviews, tmp_path)


def test_a_link_out_of_the_mirror_is_refused(mirror: Path, tmp_path: Path) -> None:
    (mirror / FILE).symlink_to(pack(SMALL, tmp_path / "outside.tar.gz"))
    pinned = {"path": "x.parquet", "sha256": sha(b"x")}
    reviews = Reviews.model_validate(
        {"repository": "some/reviews", "train": pinned, "test": pinned}
        | {"archive": pins_of(SMALL, tmp_path)}
    )
    with pytest.raises(SourceError, match="a link leads out of the mirror"):
        provide_reviews(reviews, tmp_path)


@pytest.fixture
def user_files(tmp_path: Path, mirror: Path) -> Callable[[str], Reviews]:
    """A function that writes train.csv with some text, and names it and test.csv."""

    def write(text: str) -> Reviews:
        (tmp_path / "train.csv").write_text(f"text,label\n{text},1\nbad,0\n")
        (tmp_path / "test.csv").write_text("text,label\ngood,1\n,1\n")
        train, test = File(path="train.csv"), File(path="test.csv")
        return Reviews(repository="mine", train=train, test=test)

    return write


def test_user_files_are_imported_again_only_when_they_change(
    user_files: Callable[[str], Reviews], tmp_path: Path
) -> None:
    lines = provide_user_reviews("mine", user_files("good"), tmp_path)
    checksum = sha((tmp_path / "train.csv").read_bytes())
    assert lines == [
        f"data/reviews/train.parquet: 2 reviews from {tmp_path / 'train.csv'}",
        f"data/reviews/test.parquet: 2 reviews from {tmp_path / 'test.csv'}",
        "  1 without text: kept, with their labels",
        "  all positive: scores that compare two classes have no value",
        f"  for DVC to see when train.csv changes, set reviews.mine.train.sha256: {checksum}",
        "  for DVC to see when test.csv changes, set reviews.mine.test.sha256: "
        + sha((tmp_path / "test.csv").read_bytes()),
    ]
    before = state(Path("data/reviews"))
    lines = provide_user_reviews("mine", user_files("good"), tmp_path)
    assert lines[0] == "data/reviews: already there, made from these user files"
    assert state(Path("data/reviews")) == before
    provide_user_reviews("mine", user_files("better"), tmp_path)
    assert state(Path("data/reviews")).keys() == before.keys()
    assert state(Path("data/reviews")) != before


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("absent.csv", "is not there; correct the path"),
        ("~nosuchuser/r.csv", "cannot be read: Could not determine home directory"),
        ("folder.csv", "is a directory; name a file in it"),
        ("a\0b.csv", "is not there"),
        ("x" * 5000 + ".csv", "cannot be read: "),
        ("pipe.csv", "is no regular file"),
        ("reviews.csv.gz", "is of format '.gz', which is not read; bring .parquet, .csv"),
        ("locked.csv", "cannot be read: [Errno 13] Permission denied"),
    ],
)
def test_own_files_that_cannot_be_read_are_refused_with_their_key(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "locked.csv").write_text("text,label\n")
    opened = Path.open

    def locked(self: Path, *args: Any, **options: Any) -> Any:
        if self.name == "locked.csv":  # a root user may read any file
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return opened(self, *args, **options)

    monkeypatch.setattr(Path, "open", locked)
    reviews = Reviews(train=File(path=path), test=File(path="also_absent.csv"))
    with pytest.raises(RecipeError) as caught:
        provide_user_reviews("mine", reviews, tmp_path)
    first, second = caught.value.faults
    assert first.startswith("sources.yaml: reviews.mine.train.path: ")
    assert words in first
    assert "reviews.mine.test.path: also_absent.csv is not there" in second
    assert not Path("data").exists()
