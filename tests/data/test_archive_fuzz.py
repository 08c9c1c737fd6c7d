"""Any change of an archive's bytes: the pinned rows or an ArchiveError, and nothing unpacked."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardproof.data.imdb_archive import FILE, ArchiveError, import_archive
from cardproof.recipe.schema import Archive
from tests.data.test_imdb_archive import SPLIT_FILES, Reviews, pack, pins_of, rows_of

TINY: Reviews = {
    split: [(f"{split} {label} {i}", label) for label in (0, 1) for i in range(3)]
    for split in ("train", "test")
}
TAR = 15 << 10  # bytes: where in the tar, or in the gzip file, a change may begin


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Archive]:
    folder = tmp_path_factory.mktemp("packed")
    return pack(TINY, folder / FILE).read_bytes(), pins_of(TINY, folder)


@settings(max_examples=80, deadline=None)
@given(
    inside=st.booleans(),
    at=st.integers(0, TAR),
    length=st.integers(0, 600),
    new=st.binary(max_size=40) | st.sampled_from([b"\0" * 512, b"../../x", b"9" * 12, b"\x80" * 8]),
)
def test_any_change_is_refused_or_changes_no_review(
    packed: tuple[bytes, Archive],
    tmp_path_factory: pytest.TempPathFactory,
    inside: bool,
    at: int,
    length: int,
    new: bytes,
) -> None:
    content, pins = packed
    folder = tmp_path_factory.getbasetemp() / "any-archive"
    (folder / "out").mkdir(parents=True, exist_ok=True)
    data = gzip.decompress(content) if inside else content
    data = data[:at] + new + data[at + length :]
    (folder / FILE).write_bytes(gzip.compress(data, 1) if inside else data)
    try:
        import_archive(folder / FILE, folder / "out", pins)
    except ArchiveError as error:
        assert FILE in str(error)
    else:
        assert {s: rows_of(folder / f"out/{s}.parquet") for s in TINY} == TINY
    assert {p.name for p in folder.rglob("*")} <= {FILE, "out", *SPLIT_FILES}
