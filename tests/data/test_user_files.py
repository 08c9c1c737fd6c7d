"""User files: what is taken as it is, and what is refused with file, line and remedy."""

import bz2
import csv
import errno
import gzip
import json
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cardproof.data import user_files
from cardproof.data.rows import Row
from cardproof.data.user_files import (
    ReviewsError,
    checked_sha256,
    import_reviews,
    remarks,
    unreadable,
)
from cardproof.files import sha256_of
from cardproof.recipe.faults import RecipeError
from cardproof.recipe.load import resolve
from tests.conftest import ALL_STAGES, ROOT, Run
from tests.recipe.files import raw_files, recipe_of

# Texts that must come out as they went in, in every format that can hold them.
ODD = {
    "empty": "",
    "blank": " \t ",
    "one character": "x",
    "a megabyte": "word " * 200_000,
    "one long word": "w" * 1_000_000,
    "NUL": "a\0b",
    "U+0085": "one\x85two",
    "other line breaks": "a\u2028b\u2029c\x0bd\x0ce\x1cf",
    "line feed": "two\nlines",
    "carriage returns": "two\r\nlines\rand more",
    "quotes": 'he said "no", twice',
    "commas": ",,,",
    "right to left": "abc \u202e\u05e9\u05dc\u05d5\u05dd\u200f xyz",
    "HTML and script": "<br /><script>alert('x')</script><!-- &amp; -->",
    "outside the BMP": "\U0001f600 \U0001f468\u200d\U0001f469",
    "combining": "e\u0301 \ufb01",
    "byte order mark": "\ufeffabc",
    "no character": "\ufffe\uffff",
    "formula": "=1+1",
    "looks like null": "NULL",
    "looks like a number": "007",
}
ROWS: list[Row] = [(text, i % 2) for i, text in enumerate(ODD.values())]
FORMATS = ("parquet", "csv", "jsonl")


def write(path: Path, rows: list[Row]) -> Path:
    """Reviews in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        texts, labels = zip(*rows, strict=True)
        pq.write_table(pa.table({"text": texts, "label": labels}), path)
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    else:
        lines = (json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
        path.write_text("".join(lines), encoding="utf-8")
    return path


def rows_of(path: Path) -> list[Row]:
    table = pq.read_table(path)
    return list(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))


@pytest.mark.parametrize("form", FORMATS)
def test_odd_texts_are_kept_to_the_character(tmp_path: Path, form: str) -> None:
    source = write(tmp_path / f"reviews.{form}", ROWS)
    written = import_reviews(source, tmp_path / "out.parquet")
    assert rows_of(tmp_path / "out.parquet") == ROWS
    assert remarks(written) == ["1 without text: kept, with their labels"]
    schema = pq.read_schema(tmp_path / "out.parquet")
    assert (schema.names, schema.types) == (["text", "label"], [pa.string(), pa.int64()])


def test_every_format_gives_the_same_bytes(tmp_path: Path) -> None:
    made = set()
    for form in FORMATS:
        import_reviews(write(tmp_path / f"r.{form}", ROWS), tmp_path / "out.parquet")
        made.add((tmp_path / "out.parquet").read_bytes())
    assert len(made) == 1


MINE = {"train": {"path": "mine/train.csv"}, "test": {"path": "mine/test.jsonl"}}


@pytest.fixture(scope="module")
def workspace(make_repository: Callable[[], Path]) -> Path:
    """A copy of this repository whose reviews are user files, `mine`."""
    folder = make_repository()
    use_source(folder, "reviews", MINE)
    return folder


def change_params(folder: Path, values: dict[str, Any]) -> None:
    """Set keys of params.yaml, and of its sections."""
    yaml = YAML()
    params: Any = yaml.load(folder / "params.yaml")
    for key, value in values.items():
        if isinstance(value, dict):
            params[key].update(value)
        else:
            params[key] = value
    yaml.dump(params, folder / "params.yaml")


def use_source(folder: Path, kind: str, entry: object) -> None:
    """Put an entry `mine` under reviews or bases into sources.yaml, and choose it."""
    yaml = YAML()
    sources: Any = yaml.load(folder / "sources.yaml")
    sources[kind]["mine"] = entry
    yaml.dump(sources, folder / "sources.yaml")
    section = {"reviews": {"data": {"reviews": "mine"}}, "bases": {"model": {"base": "mine"}}}
    change_params(folder, section[kind])


def test_odd_texts_pass_through_the_stages(workspace: Path, run: Run) -> None:
    rows = [*ROWS, *ROWS]  # also: duplicates
    write(workspace / "mine/train.csv", rows)
    write(workspace / "mine/test.jsonl", ROWS)
    for stage in ("download", "split", "tokenize"):
        done = run("python", "-m", f"stages.{stage}", cwd=workspace)
        assert done.returncode == 0, done.stderr
        if stage == "download":
            assert f"train.parquet: {len(rows)} reviews from mine/train.csv" in done.stdout
            expected = sha256_of(workspace / "mine/train.csv")
            assert f"set reviews.mine.train.sha256: {expected}" in done.stdout
    assert rows_of(workspace / "data/split/test.parquet") == ROWS
    train, held_out = (
        rows_of(workspace / f"data/split/{part}.parquet") for part in ("train", "validation")
    )
    assert sorted(train + held_out) == sorted(rows)
    lengths = np.load(workspace / "data/tokens/test/full_lengths.npy")
    by_name = dict(zip(ODD, lengths, strict=True))
    assert (by_name["empty"], by_name["blank"], by_name["one character"]) == (2, 2, 3)
    assert by_name["a megabyte"] >= 200_002
    facts = json.loads((workspace / "metrics/split.json").read_text())
    assert facts["train_repeats"] + facts["validation_repeats"] + facts["validation_in_train"] > 0


def test_a_users_base_comes_from_a_mirror(
    make_repository: Callable[[], Path], tmp_path: Path, run: Run
) -> None:
    workspace = make_repository()
    use_source(workspace, "reviews", MINE)
    write(workspace / "mine/train.csv", ROWS)
    write(workspace / "mine/test.jsonl", ROWS)
    encoder = shutil.copytree(
        ROOT / "sample/hub/cardproof/sample-distilbert", tmp_path / "me/encoder"
    )
    base = {
        "repository": "me/encoder", "revision": None, "max_positions": 512,
        "files": {path.name: sha256_of(path) for path in sorted(encoder.iterdir())},
    }  # fmt: skip
    use_source(workspace, "bases", base)
    lost = run("python", "-m", "stages.download", cwd=workspace)
    assert lost.returncode == 1
    assert "sample/hub/me/encoder/model.safetensors" in lost.stderr
    done = run("python", "-m", "stages.download", cwd=workspace, mirror=tmp_path)
    assert done.returncode == 0, done.stderr
    for path in encoder.iterdir():
        assert (workspace / "data/base" / path.name).read_bytes() == path.read_bytes()


def test_a_refusal_leaves_the_earlier_reviews_and_shows_no_traceback(
    workspace: Path, run: Run
) -> None:
    write(workspace / "mine/train.csv", ROWS)
    write(workspace / "mine/test.jsonl", ROWS)
    assert run("python", "-m", "stages.download", cwd=workspace).returncode == 0
    before = {p.name: p.read_bytes() for p in (workspace / "data/reviews").iterdir()}
    (workspace / "mine/test.jsonl").write_text('{"text": "\\ud800", "label": 0}\n')
    done = run("python", "-m", "stages.download", cwd=workspace)
    assert done.returncode == 1
    assert "mine/test.jsonl, line 1: text holds '\\ud800' at character 0" in done.stderr
    assert "Traceback" not in done.stderr
    assert {p.name: p.read_bytes() for p in (workspace / "data/reviews").iterdir()} == before
    assert not list((workspace / "data").glob(".*.new"))


HEAD = b"text,label\n"
JSON = b'{"text": "fine", "label": 1}\n'
PLAIN_LABELS = "labels must be the whole numbers 0 (negative) and 1 (positive)"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        # nothing in it
        ("r.csv", b"", "holds no reviews; 2 or more are needed"),
        ("r.csv", HEAD, "holds no reviews"),
        ("r.csv", HEAD + b"only,1\n", "holds 1 review; 2 or more"),
        ("r.jsonl", b"", "holds no reviews"),
        ("r.jsonl", b"\n \n", "holds no reviews"),
        ("r.parquet", b"", "not readable as parquet"),
        # another format
        ("r.parquet", b"PAR1 and more that is none PAR1", "not readable as parquet"),
        ("r.txt", b"text", "format '.txt' is not read; bring .parquet, .csv, .jsonl"),
        ("r.csv.gz", b"", "format '.gz' is not read"),
        ("r", b"", "format 'without a suffix' is not read"),
        (
            "r.csv",
            "text,label\nx,1\n".encode("utf-16"),
            "text in UTF-16; convert it: iconv -f UTF-16",
        ),
        ("r.csv", "text,label\nx,1\n".encode("utf-16-le"), "text in UTF-16; convert it"),
        ("r.jsonl", JSON.decode().encode("utf-16-be"), "text in UTF-16; convert it"),
        (
            "r.csv",
            "text,label\nx,1\n".encode("utf-32"),
            "text in UTF-32; convert it: iconv -f UTF-32",
        ),
        ("r.jsonl", JSON.decode().encode("utf-32-be"), "text in UTF-32; convert it"),
        ("r.csv", gzip.compress(HEAD, mtime=0), "its content is compressed by gzip; unpack it"),
        ("r.parquet", gzip.compress(HEAD, mtime=0), "its content is compressed by gzip; unpack it"),
        ("r.jsonl", bz2.compress(JSON), "its content is compressed by bzip2"),
        ("r.jsonl", lzma.compress(JSON), "its content is compressed by xz"),
        ("r.csv", b"PK\x03\x04 and so on", "a ZIP archive or a spreadsheet; export it as CSV"),
        ("r.csv", b"PAR1 and so on", "its content is parquet; give it that suffix"),
        # columns
        ("r.csv", b"review,label\nx,1\n", "one column text; its columns: 'review', 'label'"),
        ("r.csv", b"text;label\nx;1\n", "its columns: 'text;label'. The first line must name"),
        ("r.csv", b"text,text,label\nx,y,1\n", "one column text; its columns: 'text', 'text'"),
        ("r.csv", b"good film,1\n", "one column text and one column label"),
        ("r.jsonl", JSON + b'{"text": "x"}\n', "one column label; its columns: 'text'. See line 2"),
        (
            "r.jsonl",
            JSON + b'{"text": "bad", "label": 0, "label": 1}\n',
            "one column label; its columns: 'text', 'label', 'label'. See line 2",
        ),
        ("r.jsonl", JSON + b'{"text": "a", "text": "b", "label": 1}\n', "one column text; its col"),
        ("r.jsonl", b'["a", 1]\n', "line 1: a list, not an object. Write one object a line"),
        ("r.json", b'[{"text": "x", "label": 0}]', "line 1: a list, not an object"),
        ("r.json", b'{\n "text": "x"\n}', "line 1: no JSON: Expecting property name"),
        # CSV that is none
        ("r.csv", HEAD + b"fine,1\nlost\nx,1\n", "line 3: 1 fields, the first line has 2"),
        ("r.csv", HEAD + b"fine,1\na, b,1\n", "line 3: 3 fields, the first line has 2. Put a text"),
        ("r.csv", HEAD + b'fine,1\n"a,0\n"b",1\nc,0\n', "line 3: broken CSV: ',' expected after"),
        ("r.csv", HEAD + b'fine,1\n"a\nb,0\nc,1\n', "line 3: broken CSV: unexpected end of data"),
        ("r.csv", HEAD + b'"a"b,0\n', "line 2: broken CSV"),
        ("r.csv", b"text,label\rx,1\r", "line 1: broken CSV: new-line character seen in unquoted"),
        # bytes and characters that are none
        ("r.csv", HEAD + b"fine,1\ncaf\xe9,0\n", "line 3: byte 0xe9 at 3 is not UTF-8; convert"),
        ("r.csv", HEAD + b"\xed\xa0\x80,0\n", "line 2: byte 0xed at 0 is not UTF-8"),
        ("r.jsonl", JSON + b'{"text": "caf\xe9"}\n', "line 2: byte 0xe9 at 13 is not UTF-8"),
        ("r.jsonl", b'{"text": "a\\ud800", "label": 0}', "line 1: text holds '\\ud800' at char"),
        ("r.jsonl", b'{"text": "\\udc00b", "label": 0}', "half of a surrogate pair"),
        # JSON that is none, or no text
        ("r.jsonl", JSON + b'{"text": "x", "label": 1\n', "line 2: no JSON"),
        ("r.jsonl", b"[" * 100_000, "line 1: no JSON"),
        ("r.jsonl", b'{"text": null, "label": 1}', "line 1: text is null; give it a text or"),
        ("r.jsonl", b'{"text": 5, "label": 1}', "line 1: text is of type int"),
        # labels
        ("r.csv", HEAD + b"a,1\nb,-1\nc,1\n", "-1 to 0, and 1 stays 1"),
        ("r.csv", HEAD + b"a,pos\nb,neg\n", "labels: 'neg', 'pos'\n  Map them: the negative to 0"),
        ("r.csv", HEAD + b"a,1\nb,3\nc,5\nd,2\ne,4\n", "1 and 2 to 0, 4 and 5 to 1, and leave"),
        ("r.csv", HEAD + b"a,1\nb,2\n", "1 to 0, 2 to 1"),
        ("r.csv", HEAD + b"a,9\nb,2\n", "1 to 4 to 0, 7 to 10 to 1"),
        ("r.csv", HEAD + b"a,1.0\nb,0.0\n", "without a point"),
        ("r.csv", HEAD + b"a,1\nb,\n", "line 3: label ''; " + PLAIN_LABELS),
        ("r.csv", HEAD + b"a,1\nb,\n", "or leave out those that have none"),
        ("r.csv", HEAD + b"a,0\nb,1\nc,2\n", "line 4: label '2'"),
        ("r.csv", HEAD + b"a,0\nb,2\nc,x\n\xff\n", "labels: '2', 'x', 0\n  Map them to 0 and 1"),
        ("r.jsonl", b'{"text": "x", "label": true}', "line 1: label True; " + PLAIN_LABELS),
        ("r.jsonl", b'{"text": "x", "label": true}', "false to 0, true to 1"),
        ("r.jsonl", b'{"text": "x", "label": "1"}', "line 1: label '1'"),
        ("r.jsonl", b'{"text": "x", "label": 1.0}', "line 1: label 1.0"),
        ("r.jsonl", b'{"text": "x", "label": NaN}', "line 1: label nan"),
        ("r.jsonl", b'{"text": "x", "label": null}', "line 1: label None"),
        ("r.jsonl", b'{"text": "x", "label": [1]}', "line 1: label [1]"),
        ("r.jsonl", b'{"text": "x", "label": ' + b"9" * 5000 + b"}", "line 1: no JSON"),
    ],
)
def test_bad_files_are_refused_with_place_value_and_remedy(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ReviewsError) as caught:
        import_reviews(path, tmp_path / "out.parquet")
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"review": ["a"], "stars": [1]}, "one column text and one column label; its columns: 're"),
        ({"text": pa.array([b"a", b"b"]), "label": [0, 1]}, "column text is of type binary"),
        ({"text": [1, 2], "label": [0, 1]}, "column text is of type int64; make it string"),
        ({"text": ["a", None], "label": [0, 1]}, "row 2: text is null"),
        ({"text": ["a", "b"], "label": [0, None]}, "row 2: label None"),
        ({"text": ["a", "b"], "label": [0.0, 1.0]}, "row 1: label 0.0"),
        ({"text": ["a", "b"], "label": ["neg", "pos"]}, "the negative to 0"),
        ({"text": ["a"] * 3000, "label": [0] * 2500 + [7] * 500}, "row 2501: label 7"),
        (
            {
                "text": pa.array([b"fine", b"caf\xe9"]).view(pa.string()),
                "label": [0, 1],
            },
            "row 2: byte 0xe9 at 3 is not UTF-8",
        ),
    ],
)
def test_bad_parquet_is_refused_with_place_value_and_remedy(
    tmp_path: Path, columns: dict[str, Any], words: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "r.parquet")
    with pytest.raises(ReviewsError) as caught:
        import_reviews(tmp_path / "r.parquet", tmp_path / "out.parquet")
    assert words in str(caught.value)


@pytest.mark.parametrize("number", [errno.EIO, None])
def test_a_fault_of_the_disk_is_not_one_of_the_parquet_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "no more") if number else OSError("a page is corrupt")

    path = write(tmp_path / "r.parquet", ROWS)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", fail)
    with pytest.raises(OSError if number else ReviewsError, match=r"no more|corrupt\. Write it"):
        import_reviews(path, tmp_path / "out.parquet")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
@pytest.mark.parametrize("label", [pa.int8(), pa.uint64()])
def test_parquet_with_other_widths_and_columns_is_taken(
    tmp_path: Path, kind: Any, label: Any
) -> None:
    table = pa.table(
        {
            "id": [1, 2],
            "label": pa.array([1, 0], label),
            "text": pa.array(["ü", "b"], kind),
            "more": [{"a": 1}, None],
        }
    )
    pq.write_table(table, tmp_path / "r.parquet")
    import_reviews(tmp_path / "r.parquet", tmp_path / "out.parquet")
    assert rows_of(tmp_path / "out.parquet") == [("ü", 1), ("b", 0)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", b"\xef\xbb\xbftext,label\na,1\n\nb,0\n\n"),  # byte order mark, blank lines
        ("r.csv", b"id,label,text\r\n1,1,a\r\n2,0,b"),  # another order, no last line end
        ("r.csv", b'"text","label"\n"a","1"\n"b","0"\n'),
        ("R.CSV", b"text,label\na,1\nb,0\n"),
        ("r.jsonl", b'\xef\xbb\xbf{"label": 1, "text": "a"}\r\n\r\n{"text":"b","label":0,"x":[1]}'),
        ("r.ndjson", b'{"label": 1, "text": "a"}\n{"text":"b","label":0}\n'),
    ],
)
def test_what_programs_write_differently_is_taken(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    import_reviews(tmp_path / name, tmp_path / "out.parquet")
    assert rows_of(tmp_path / "out.parquet") == [("a", 1), ("b", 0)]


def test_a_text_or_line_beyond_all_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_files, "MAX_TEXT", 1000)
    monkeypatch.setattr(user_files, "MAX_LINE", 5000)
    long = [("x" * 1001, 0), ("y", 1)]
    for form, words in (
        ("csv", "field larger than"),
        ("jsonl", "1,001 char"),
        ("parquet", "row 1"),
    ):
        with pytest.raises(ReviewsError, match=words):
            import_reviews(write(tmp_path / f"r.{form}", long), tmp_path / "out.parquet")
    (tmp_path / "r.jsonl").write_bytes(b" " * 6000)
    with pytest.raises(ReviewsError, match="line 1: longer than 5,000 bytes"):
        import_reviews(tmp_path / "r.jsonl", tmp_path / "out.parquet")


def test_a_point_in_time_that_is_none_is_a_fault_with_its_row(tmp_path: Path) -> None:
    times = pa.array([0, 2**62], pa.timestamp("ms"))
    pq.write_table(pa.table({"text": ["a", "b"], "label": times}), tmp_path / "r.parquet")
    with pytest.raises(ReviewsError, match=r"row 1: label datetime"):
        import_reviews(tmp_path / "r.parquet", tmp_path / "out.parquet")
    times = pa.array([2**62, 0], pa.timestamp("ms"))
    pq.write_table(pa.table({"text": ["a", "b"], "label": times}), tmp_path / "r.parquet")
    with pytest.raises(ReviewsError, match=r"row 1: label of type timestamp\[\w+\] cannot be read"):
        import_reviews(tmp_path / "r.parquet", tmp_path / "out.parquet")


@settings(deadline=None, max_examples=150)
@given(
    suffix=st.sampled_from([".csv", ".jsonl", ".parquet"]),
    start=st.sampled_from([b"", HEAD, JSON, b"PAR1", b'{"text": "', b"text,label\r\n"]),
    rest=st.binary(max_size=60) | st.text(max_size=40).map(lambda t: t.encode("utf-8", "replace")),
)
def test_any_bytes_are_reviews_or_a_fault_that_names_the_file(
    suffix: str, start: bytes, rest: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = tmp_path_factory.getbasetemp() / f"any{suffix}"
    source.write_bytes(start + rest)
    try:
        import_reviews(source, source.with_name("any.out"))
    except ReviewsError as error:
        assert str(error).startswith(str(source))


def test_a_directory_is_named_for_what_it_is(tmp_path: Path) -> None:
    assert unreadable(tmp_path) == "is a directory; name a file in it"  # it has no suffix
    (tmp_path / "r.csv").mkdir()
    with pytest.raises(ReviewsError, match=r"r\.csv: a directory; name a file in it"):
        import_reviews(tmp_path / "r.csv", tmp_path / "out.parquet")


def test_a_file_that_is_not_the_named_one_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "r.csv", ROWS)
    assert checked_sha256(source, None) == checked_sha256(source, sha256_of(source))
    with pytest.raises(ReviewsError, match="not the file that sources") as caught:
        checked_sha256(source, "0" * 64)
    assert sha256_of(source) in str(caught.value)


@pytest.mark.slow
def test_more_reviews_take_no_more_memory(tmp_path: Path, run: Run) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux's account of the most memory that a process had")
    script = (
        "import re, sys\nfrom pathlib import Path\n"
        "from cardproof.data.user_files import import_reviews\n"
        "import_reviews(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])\n"
    )
    most = []
    for rows in (100, 500):
        source = write(tmp_path / "r.csv", [("word " * 20_000, i % 2) for i in range(rows)])
        done = run("python", "-c", script, str(source), str(tmp_path / "out.parquet"), cwd=ROOT)
        assert done.returncode == 0, done.stderr
        most.append(int(done.stdout))
    assert most[1] - most[0] < 20_000, f"{most} KiB for 10 and 50 megabytes"


def test_sources_tell_user_files_from_a_repositorys() -> None:
    raw = raw_files(data__reviews="mine")
    files = {"train": {"path": "a.csv"}, "test": {"path": "b.csv", "sha256": "0" * 64}}
    raw.sources["reviews"]["mine"] = files
    recipe = resolve(raw)
    assert (recipe.user_reviews, recipe.reviews.repository) == (True, "mine")
    assert recipe.reviews.revision is None
    assert [d.key for d in recipe.deviations] == ["data.reviews"]
    assert not recipe_of("sample").user_reviews
    pinned = {"repository": "a/b", "revision": None}
    checksums = {k: v | {"sha256": "0" * 64} for k, v in files.items()}
    archive = {"md5": "0" * 32, "train": "0" * 64, "test": "0" * 64}
    for entry, words in (
        (pinned | files, "reviews.mine: the files of a repository need a sha256 each"),
        ({"repository": "a/b"} | checksums, "reviews.mine: revision is missing; add it"),
        (files | {"revision": "0" * 40}, "reviews.mine: revision and archive are of a repository"),
        (files | {"archive": archive}, "reviews.mine: revision and archive are of a repository"),
        ({"train": files["train"]}, "reviews.mine.test: missing; add it"),
        (files | {"train": {"path": ""}}, "reviews.mine.train.path: '' must not be empty"),
        (
            pinned | checksums | {"archive": archive | {"md5": "x"}},
            "'x' must be an md5: 32",
        ),
    ):
        raw.sources["reviews"]["mine"] = entry
        with pytest.raises(RecipeError) as caught:
            resolve(raw)
        assert words in str(caught.value)


@pytest.mark.slow
def test_one_class_and_fewer_rows_than_a_batch_get_through_every_stage(
    make_repository: Callable[[], Path], run: Run
) -> None:
    folder = make_repository()
    few = [("a good film", 1), ("a very good film", 1), ("good", 1)]
    checksums = {s: sha256_of(write(folder / f"mine/{s}.csv", few)) for s in ("train", "test")}
    files = {
        split: {"path": f"mine/{split}.csv", "sha256": checksums[split]} for split in checksums
    }
    use_source(folder, "reviews", files)
    apart = run("dvc", "exp", "run", "--temp", "download", cwd=folder)
    assert apart.returncode == 0, apart.stdout[-3000:] + apart.stderr[-3000:]
    assert f"3 reviews from {folder}/mine/train.csv" in apart.stdout
    done = run("python", "-c", ALL_STAGES, cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "all positive: scores that compare two classes have no value" in done.stdout
    figures = json.loads((folder / "metrics/evaluate.json").read_text(), parse_constant=pytest.fail)
    assert figures["accuracy"] in (0, 1 / 3, 2 / 3, 1)
    assert json.loads((folder / "metrics/train.json").read_text())["steps"] == 2
    assert "mine" in (folder / "report/index.html").read_text()
