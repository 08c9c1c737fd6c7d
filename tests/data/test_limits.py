"""The edges of what is taken and given: limits as they stand, and the layout of files."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from cardproof.data import imdb_archive, receive, rows, user_files
from cardproof.data.duplicates import text_key
from cardproof.data.reviews import draw_balanced, read_reviews
from cardproof.data.rows import Row, rows_checksum, write_rows
from cardproof.data.splits import describe_splits, make_splits
from cardproof.data.user_files import ReviewsError, import_reviews, remarks, unreadable
from cardproof.recipe.schema import Split
from tests.data.test_user_files import rows_of, write

MIB = 1 << 20


# -- rows and user files ---------------------------------------------------------------------------


def test_row_groups_are_of_a_thousand_rows_or_eight_mebibytes(tmp_path: Path) -> None:
    def groups(reviews: list[Row]) -> list[int]:
        written = write_rows(reviews, tmp_path / "out.parquet")
        assert written.rows == len(reviews)
        assert written.sha256 == rows_checksum(reviews)
        found = pq.ParquetFile(tmp_path / "out.parquet").metadata
        return [found.row_group(i).num_rows for i in range(found.num_row_groups)]

    assert groups([("x", 1)] * 2_001) == [1_000, 1_000, 1]
    assert groups([("x" * 4 * MIB, 0)] * 5) == [2, 2, 1]
    assert groups([("x" * (4 * MIB - 1), 0)] * 3) == [3]


def test_what_is_written_is_counted(tmp_path: Path) -> None:
    written = write_rows([("a", 1), ("", 1), ("b", 0), ("", 1)], tmp_path / "out.parquet")
    assert written[:3] == (4, 3, 2)
    assert [said.partition(":")[0] for said in remarks(written)] == ["2 without text"]
    for label, word in ((0, "negative"), (1, "positive")):
        (said,) = remarks(write_rows([("a", label)] * 2, tmp_path / "out.parquet"))
        assert said.startswith(f"all {word}:")


def test_two_reviews_are_enough_and_one_is_not(tmp_path: Path) -> None:
    for count, words in ((1, "holds 1 review;"), (0, "holds no reviews;")):
        source = tmp_path / "r.csv"
        source.write_text("text,label\n" + "a,0\n" * count)
        with pytest.raises(ReviewsError, match=words):
            import_reviews(source, tmp_path / "out.parquet")
    write(tmp_path / "r.csv", [("a", 0), ("b", 1)])
    assert import_reviews(tmp_path / "r.csv", tmp_path / "out.parquet").rows == 2


def test_a_review_may_have_sixteen_mebi_characters(tmp_path: Path) -> None:
    """A JSON line may take six bytes for each, and some for what stands around them."""
    most = 16 * MIB
    source = tmp_path / "r.jsonl"
    source.write_text(f'{{"text": "{"x" * most}", "label": 1}}\n{{"text": "b", "label": 0}}\n')
    import_reviews(source, tmp_path / "out.parquet")
    assert [len(text) for text, _ in rows_of(tmp_path / "out.parquet")] == [most, 1]
    source.write_text(f'{{"text": "{"x" * (most + 1)}", "label": 1}}\n')
    with pytest.raises(ReviewsError, match="16,777,217 characters, more than 16,777,216"):
        import_reviews(source, tmp_path / "out.parquet")
    assert user_files.MAX_LINE == 128 * MIB


def test_a_line_may_be_as_long_as_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = b'{"text": "abc", "label": 1}\n'
    (tmp_path / "r.jsonl").write_bytes(line + b'{"text": "b", "label": 0}\n')
    monkeypatch.setattr(user_files, "MAX_LINE", len(line))
    import_reviews(tmp_path / "r.jsonl", tmp_path / "out.parquet")
    monkeypatch.setattr(user_files, "MAX_LINE", len(line) - 1)
    with pytest.raises(ReviewsError, match=r"line 1: longer than 27 bytes"):
        import_reviews(tmp_path / "r.jsonl", tmp_path / "out.parquet")


def test_an_error_shows_a_dozen_labels_and_one_more(tmp_path: Path) -> None:
    source = tmp_path / "r.csv"
    source.write_text("text,label\n" + "".join(f"a,label{i:02}\n" for i in range(40)))
    with pytest.raises(ReviewsError) as caught:
        import_reviews(source, tmp_path / "out.parquet")
    assert str(caught.value).count("'label") - 1 == 13


@pytest.mark.parametrize(
    ("head", "field", "words"),
    [
        ("text,label\n\na,1\n", "x,2", "line 4: label '2'"),
        ("text,label\na,1\nb,0\n", "x", "line 4: 1 fields, the first line has 2"),
    ],
)
def test_lines_are_counted_from_one(tmp_path: Path, head: str, field: str, words: str) -> None:
    (tmp_path / "r.csv").write_text(f"{head}{field}\n")
    with pytest.raises(ReviewsError, match=words):
        import_reviews(tmp_path / "r.csv", tmp_path / "out.parquet")


def test_what_cannot_be_read_is_said_before(tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    (tmp_path / "there.csv").touch()
    found = {name: unreadable(tmp_path / name) for name in ("d.csv", "no.csv", "x.zip", "x")}
    assert "is a directory" in found["d.csv"]
    assert "is not there" in found["no.csv"]
    assert "format '.zip'" in found["x.zip"]
    assert "'without a suffix'" in found["x"]
    assert unreadable(tmp_path / "there.csv") == ""


# -- splits ----------------------------------------------------------------------------------------


def reviews_of(count: int) -> Dataset:
    return Dataset.from_dict({
        "text": [f"text {i}" for i in range(count)], "label": [i % 2 for i in range(count)],
        "row": list(range(count)),
    })  # fmt: skip


def test_a_draw_without_a_seed_of_its_own_is_that_of_42() -> None:
    """42 is what transformers' Trainer, and so most cards, have where they name none."""
    from transformers import TrainingArguments

    known = TrainingArguments.__dataclass_fields__["seed"].default
    split = Split.model_validate(
        {"validation": "none", "test_size": None, "seed": None, "scored": "test",
         "scored_rows": "all"}
    )  # fmt: skip
    found = make_splits(reviews_of(100), reviews_of(60), split, limit=30)
    assert list(found["train"]["row"]) == list(draw_balanced(reviews_of(100), 30, known)["row"])
    assert len(found["test"]) == 30
    some = split.model_copy(update={"scored_rows": 10})
    assert len(make_splits(reviews_of(9), reviews_of(60), some)["test"]) == 10


@pytest.mark.parametrize("rows_", [99, 100, 101])
def test_a_draw_of_all_rows_is_all_rows(rows_: int) -> None:
    found = draw_balanced(reviews_of(100), rows_, 1)
    assert len(found) == min(rows_, 100)
    assert list(found["row"]) == sorted(set(found["row"]))


def test_facts_are_of_every_batch_of_texts() -> None:
    texts = [f"text {i % 1_200}" for i in range(2_500)]
    labels = [int(i % 5 == 0) for i in range(2_500)]
    data = Dataset.from_dict({"text": texts, "label": labels})
    facts = describe_splits({"train": data})
    assert facts == {"train_rows": 2_500, "train_positive_share": 0.2, "train_repeats": 1_300}


def test_a_review_keeps_its_place_in_the_file(tmp_path: Path) -> None:
    write_rows([(f"text {i}", i % 2) for i in range(1_001)], tmp_path / "r.parquet")
    found = read_reviews(tmp_path / "r.parquet", tmp_path / "scratch")
    assert found.column_names == ["text", "label", "row"]
    assert list(found["row"]) == list(range(1_001))
    assert found[1_000]["text"] == "text 1000"


def test_a_text_is_known_by_sixteen_bytes_and_half_a_surrogate_is_a_text() -> None:
    keys = {text_key(text) for text in ("a", "b", "a ", "\ud800")}
    assert len(keys) == 4
    assert {len(key) for key in keys} == {16}


# -- the archive -----------------------------------------------------------------------------------


def test_the_published_archive_is_within_the_limits() -> None:
    """Maas et al. (2011): 100,000 reviews, of which 50,000 are labelled, and a dozen files more."""
    assert 100_030 * 1.2 < imdb_archive.MAX_MEMBERS <= 200_000
    assert imdb_archive.MAX_REVIEW == MIB  # the longest is of 14 kB
    assert 65 * MIB * 1.5 < imdb_archive.MAX_REVIEWS <= 128 * MIB
    assert 41 * MIB * 2 < imdb_archive.MAX_OTHER <= 128 * MIB


@pytest.mark.parametrize(("held", "refused"), [(20, False), (19, True)])
def test_the_reviews_of_an_archive_are_bounded_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int, refused: bool
) -> None:
    monkeypatch.setattr(imdb_archive, "MAX_REVIEWS", held)
    monkeypatch.setattr(imdb_archive, "MAX_MEMBERS", 3)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for number, size in enumerate((8, 9, 3)):
            member = tarfile.TarInfo(f"aclImdb/train/neg/{number}_1.txt")
            member.size = size
            archive.addfile(member, io.BytesIO(b"x" * size))
    if refused:
        with pytest.raises(imdb_archive.ArchiveError, match=r"2_1\.txt': 3 bytes, more than 2"):
            list(imdb_archive._archive_reviews(tmp_path / "a.tar.gz"))
    else:
        found = dict(imdb_archive._archive_reviews(tmp_path / "a.tar.gz"))
        assert [len(data) for data in found.values()] == [8, 9, 3]


# -- the hub ---------------------------------------------------------------------------------------


def test_a_hub_is_given_up_after_less_than_a_block_six_times() -> None:
    """hf.co sends in pieces of 10 MiB; a model of 268 MB in 64 KiB takes 4,000 connections."""
    assert receive.NEXT_TO_NOTHING == 64 * 1024
    assert 268_000_000 / receive.NEXT_TO_NOTHING < 4_100
    assert (receive.IDLE_TRIES, receive.LONGEST_PAUSE) == (6, 2 * 60)


@pytest.mark.parametrize(("size", "room", "taken"), [(0, 0, True), (9, 9, True), (9, 8, False)])
def test_a_file_that_just_fits_is_taken(size: int, room: int, taken: bool) -> None:
    if taken:
        assert receive.check_announced("url", size, room) == size
    else:
        with pytest.raises(receive.SourceError, match="9 bytes are announced, and 8 are free"):
            receive.check_announced("url", size, room)


def test_the_longest_file_of_the_clients_own_downloads_is_taken_and_no_longer_one() -> None:
    from huggingface_hub import constants

    most = constants.MAX_HTTP_DOWNLOAD_SIZE
    assert receive.check_announced("url", most, 2 * most) == most
    for wrong in (most + 1, -1):
        with pytest.raises(receive.SourceError, match="a hub sends at most"):
            receive.check_announced("url", wrong, 2 * most)


def test_groups_end_with_their_last_row() -> None:
    sizes = np.array([len(group) for group in rows._groups([("x", 0)] * 1_000)])
    assert sizes.tolist() == [1_000]
