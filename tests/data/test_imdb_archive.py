"""The original archive as a source: the hub's rows from it, and what it must not do."""

import gzip
import hashlib
import io
import os
import random
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from cardproof.data import imdb_archive as archive_module
from cardproof.data.imdb_archive import (
    FILE,
    FOLDER,
    ArchiveError,
    hub_order,
    import_archive,
)
from cardproof.data.rows import Row, write_rows
from cardproof.recipe.schema import Archive
from tests.conftest import ROOT, Run
from tests.data.test_user_files import change_params

Reviews = dict[str, list[Row]]  # by split, in the hub's order
Damage = Callable[[tarfile.TarFile], None]
SPLIT_FILES = ("train.parquet", "test.parquet")

SMALL: Reviews = {
    split: [(f"{split} {label} {i} \x85 ünï<br />", label) for label in (0, 1) for i in range(130)]
    for split in ("train", "test")
}


def members(reviews: Reviews) -> Iterator[tuple[str, bytes]]:
    """What the original archive would hold: names and bytes, in no order of note."""
    for split, rows in reviews.items():
        for label, name in ((1, "pos"), (0, "neg")):
            texts = [text for text, its_label in rows if its_label == label]
            for running_id, text in zip(hub_order(len(texts)), texts, strict=True):
                stars = (running_id % 4) + (7 if label else 1)
                yield f"{FOLDER}/{split}/{name}/{running_id}_{stars}.txt", text.encode()


def add(archive: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for field, value in fields.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(data))


def pack(reviews: Reviews, path: Path, damage: Damage = lambda _: None) -> Path:
    """An archive as the original one is packed, with what else is in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        add(archive, FOLDER, type=tarfile.DIRTYPE)
        add(archive, f"{FOLDER}/README", b"Large Movie Review Dataset v1.0")
        add(archive, f"{FOLDER}/train/unsup/0_0.txt", b"no label")
        for name, data in members(reviews):
            add(archive, name, data)
        damage(archive)
    return path


def unpack(reviews: Reviews, folder: Path) -> Path:
    for name, data in members(reviews):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / FOLDER


def pins_of(reviews: Reviews, folder: Path) -> Archive:
    train, test = (
        write_rows(reviews[s], folder / "rows.parquet").sha256 for s in ("train", "test")
    )
    return Archive(md5="0" * 32, train=train, test=test)


def rows_of(path: Path) -> list[Row]:
    table = pq.read_table(path)
    return list(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))


def test_the_hubs_order_is_blocks_of_128_running_ids_each_backwards() -> None:
    order = list(hub_order(12_500))
    assert order[:3] == [127, 126, 125]
    assert order[127:130] == [0, 255, 254]
    assert order[12_416:12_418] == [12_499, 12_498]
    assert order[-1] == 12_416
    assert sorted(order) == list(range(12_500))


def test_the_checksum_over_rows_tells_rows_apart_that_join_to_the_same_text(tmp_path: Path) -> None:
    variants: list[list[Row]] = [
        [("ab", 0), ("c", 0)], [("a", 0), ("bc", 0)], [("abc", 0)], [("ab", 1), ("c", 0)],
        [("c", 0), ("ab", 0)], [("ab", 0), ("", 0), ("c", 0)], [("ab0 1\nc", 0)],
    ]  # fmt: skip
    checksums = {write_rows(rows, tmp_path / "x.parquet").sha256 for rows in variants}
    assert len(checksums) == len(variants)
    by_hand = hashlib.sha256("0 3\nüa1 1\nb".encode()).hexdigest()
    assert write_rows([("üa", 0), ("b", 1)], tmp_path / "x.parquet").sha256 == by_hand


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_archive_and_folder_give_the_rows_in_the_hubs_order(tmp_path: Path, form: str) -> None:
    mirror = tmp_path / "mirror"
    source = pack(SMALL, mirror / FILE) if form == "archive" else unpack(SMALL, mirror)
    target = tmp_path / "out"
    target.mkdir()
    described, written = import_archive(source, target, pins_of(SMALL, tmp_path))
    assert described.startswith(f"{form} {source}")
    assert ("not the published 000" in described) == (form == "archive")
    assert {split: rows_of(target / f"{split}.parquet") for split in SMALL} == SMALL
    assert [(w.rows, w.positive) for w in written.values()] == [(260, 130)] * 2
    assert sorted(p.name for p in target.iterdir()) == ["test.parquet", "train.parquet"]


def link(name: str, target: str, kind: bytes) -> Damage:
    return lambda archive: add(archive, name, type=kind, linkname=target)


def member(name: str, data: bytes = b"x", **fields: object) -> Damage:
    return lambda archive: add(archive, name, data, **fields)


def refuse(tmp_path: Path, damage: Damage, words: str) -> None:
    source = pack(SMALL, tmp_path / FILE, damage)
    with pytest.raises(ArchiveError, match=words) as caught:
        import_archive(source, tmp_path, pins_of(SMALL, tmp_path))
    assert "https://ai.stanford.edu" in str(caught.value) or "UTF-8" in words
    assert {p.name for p in tmp_path.iterdir()} <= {FILE, "rows.parquet", *SPLIT_FILES}


@pytest.mark.skipif(
    not hasattr(tarfile, "data_filter"),
    reason="Python before 3.11.4 has no filter for what is no review; nothing is unpacked anyway",
)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (member("aclImdb/../../etc/passwd"), "outside the destination"),
        (link("aclImdb/README2", "/etc/passwd", tarfile.SYMTYPE), "link to an absolute path"),
        (link("aclImdb/train", "../../..", tarfile.SYMTYPE), "outside the destination"),
        (member("aclImdb/null", b"", type=tarfile.CHRTYPE), "is a special file"),
        (member("aclImdb/pipe", b"", type=tarfile.FIFOTYPE), "is a special file"),
    ],
)
def test_unsafe_members_are_refused(tmp_path: Path, damage: Damage, words: str) -> None:
    refuse(tmp_path, damage, words)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (link("aclImdb/train/neg/130_1.txt", "0_1.txt", tarfile.SYMTYPE), "not a file where a rev"),
        (link("aclImdb/train/neg/130_1.txt", "aclImdb/README", tarfile.LNKTYPE), "not a file whe"),
        (member("aclImdb/train/neg/130_1.txt", b"", type=tarfile.DIRTYPE), "not a file where a"),
        (member("aclImdb/train/neg/0_1.txt", b"another"), "reviews, 260 rows, are not the pinned"),
        (member("aclImdb/train/neg/130_1.txt", b"x" * ((1 << 20) + 1)), "1,048,577 bytes, more"),
        (member("aclImdb/train/neg/131_1.txt"), r"no aclImdb/train/neg/130_\*.txt"),
        (member("aclImdb/train/neg/130_1.txt"), "its train reviews, 261 rows, are not the pinned"),
        (member("aclImdb/test/pos/130_1.txt", b"\xff"), r"pos/130_\*.txt is not UTF-8"),
        (
            member("aclImdb/README2", pax_headers={"comment": "x" * (2 << 20)}),
            "a header of more than",
        ),
    ],
)
def test_other_archives_are_refused(tmp_path: Path, damage: Damage, words: str) -> None:
    refuse(tmp_path, damage, words)


def test_what_is_no_review_is_neither_unpacked_nor_missed(tmp_path: Path) -> None:
    def more(archive: tarfile.TarFile) -> None:
        add(archive, "other/train/neg/130_1.txt", b"x")
        add(archive, "aclImdb/train/neg/._0_1.txt", b"x")
        add(archive, "aclImdb/train/neg/\u0663_1.txt", b"x")
        add(archive, "/aclImdb/test/pos/130_1.txt", b"x")
        add(archive, "aclImdb/a\x1b[2Jb", b"x")

    source = pack(SMALL, tmp_path / FILE, more)
    import_archive(source, tmp_path, pins_of(SMALL, tmp_path))
    assert rows_of(tmp_path / "train.parquet") == SMALL["train"]


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 500)
    source = pack(SMALL, tmp_path / FILE)
    with pytest.raises(ArchiveError, match="more than 500 members"):
        import_archive(source, tmp_path, pins_of(SMALL, tmp_path))


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.9])
def test_a_truncated_archive_is_said_to_be_that(tmp_path: Path, share: float) -> None:
    data = pack(SMALL, tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ArchiveError, match=r"truncated, damaged or unsafe, .*Download it again"):
        import_archive(tmp_path / FILE, tmp_path, pins_of(SMALL, tmp_path))


def test_what_is_no_gzip_and_a_flipped_bit_are_refused(tmp_path: Path) -> None:
    source = tmp_path / FILE
    source.write_bytes(b"<html>Not found</html>" * 50)
    with pytest.raises(ArchiveError, match="truncated, damaged or unsafe, Not a gzipped file"):
        import_archive(source, tmp_path, pins_of(SMALL, tmp_path))


def test_a_flipped_bit_is_refused_with_the_member_or_changes_no_review(tmp_path: Path) -> None:
    source = tmp_path / FILE
    good, pins = pack(SMALL, source).read_bytes(), pins_of(SMALL, tmp_path)
    draw, named = random.Random(0), 0
    for _ in range(60):
        data = bytearray(good)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        source.write_bytes(data)
        try:
            import_archive(source, tmp_path, pins)
        except ArchiveError as error:
            assert "Traceback" not in str(error)
            named += bool(re.search(r"(in|after) 'aclImdb/|aclImdb/\S+ is not UTF-8", str(error)))
        else:
            assert {s: rows_of(tmp_path / f"{s}.parquet") for s in SMALL} == SMALL
    assert named > 30  # the others: a text that differs, which only the pinned rows tell


def test_a_header_that_is_damaged_is_not_taken_for_the_end(tmp_path: Path) -> None:
    source = pack(SMALL, tmp_path / FILE)
    data = bytearray(gzip.decompress(source.read_bytes()))
    name = f"{FOLDER}/test/pos/5_".encode()
    data[data.index(name) + 2] ^= 1
    source.write_bytes(gzip.compress(bytes(data)))
    before = [n for n, _ in members(SMALL)]
    last = before[next(i for i, n in enumerate(before) if n.startswith(name.decode())) - 1]
    with pytest.raises(ArchiveError, match=f"after '{last}': no header of a member"):
        import_archive(source, tmp_path, pins_of(SMALL, tmp_path))


def test_a_bomb_is_stopped_before_it_is_unpacked(tmp_path: Path) -> None:
    source = tmp_path / FILE
    huge = tarfile.TarInfo(f"{FOLDER}/imdb.vocab")
    huge.size = 64 << 30
    with gzip.open(source, "wb", compresslevel=1) as stream:
        stream.write(huge.tobuf())
        stream.write(bytes(8 << 20))
    with pytest.raises(ArchiveError, match="68,719,476,736 bytes, more than 134,217,728"):
        import_archive(source, tmp_path, pins_of(SMALL, tmp_path))


def test_links_and_special_files_in_the_folder_are_not_read(tmp_path: Path) -> None:
    source = unpack(SMALL, tmp_path)
    review = next((source / "train/neg").glob("5_*.txt"))
    review.rename(tmp_path / "aside")
    for special in ("link", "pipe"):
        review.symlink_to(tmp_path / "aside") if special == "link" else os.mkfifo(review)
        with pytest.raises(ArchiveError, match=r"no aclImdb/train/neg/5_"):
            import_archive(source, tmp_path, pins_of(SMALL, tmp_path))
        review.unlink()
    shutil.rmtree(source / "train/neg")
    with pytest.raises(ArchiveError, match=r"no aclImdb/train/neg/0_\*.txt, of 0 reviews"):
        import_archive(source, tmp_path, pins_of(SMALL, tmp_path))


def test_files_of_the_system_in_the_folder_do_not_matter(tmp_path: Path) -> None:
    source = unpack(SMALL, tmp_path)
    (source / "train/neg/.DS_Store").write_bytes(b"x")
    import_archive(source, tmp_path, pins_of(SMALL, tmp_path))
    assert rows_of(tmp_path / "train.parquet") == SMALL["train"]


def test_the_pinned_checksums_over_rows_are_those_of_the_hubs_files(
    mirror: Path, tmp_path: Path
) -> None:
    pinned = YAML(typ="safe", pure=True).load(ROOT / "sources.yaml")["reviews"]["imdb"]
    for split in ("train", "test"):
        rows = rows_of(mirror / "datasets" / pinned["repository"] / pinned[split]["path"])
        written = write_rows(rows, tmp_path / "rows.parquet")
        assert written.sha256 == pinned["archive"][split]
        assert (written.rows, written.positive, written.empty) == (25_000, 12_500, 0)


@pytest.mark.slow
def test_the_archive_gives_the_same_bytes_downstream_as_the_hubs_files(
    make_repository: Callable[[], Path], run: Run, mirror: Path, tmp_path: Path
) -> None:
    repository = make_repository()
    change_params(repository, {"card": "grojeda", "model": {"base": "sample"}})

    def split_from(source: Path) -> tuple[str, dict[str, bytes]]:
        said = ""
        shutil.rmtree(repository / "data/reviews", ignore_errors=True)
        for stage in ("download", "split"):
            done = run("python", "-m", f"stages.{stage}", cwd=repository, mirror=source)
            assert done.returncode == 0, done.stderr
            said += done.stdout
        made = chain((repository / "data/split").iterdir(), [repository / "metrics/split.json"])
        return said, {path.name: path.read_bytes() for path in made}

    said, from_hub = split_from(mirror)
    assert f"20,979,968 bytes from mirror {mirror}" in said
    folder = mirror / "datasets/stanfordnlp/imdb/plain_text"
    reviews = {s: rows_of(folder / f"{s}-00000-of-00001.parquet") for s in ("train", "test")}
    own_mirror = tmp_path / "mirror"
    pack(reviews, own_mirror / FILE)
    said, from_archive = split_from(own_mirror)
    assert f"train.parquet: 25,000 reviews from archive {own_mirror / FILE} (md5 " in said
    assert "not the published 7c2ac02c03563afcf9b574c7e56c153a" in said
    sets = {f"{name}.parquet" for name in ("train", "validation", "test")}
    assert set(from_hub) == sets | {"split.json", "identity.json", "sums.json"}
    assert from_archive == from_hub
    assert not list((repository / "data").glob(".*.new"))
