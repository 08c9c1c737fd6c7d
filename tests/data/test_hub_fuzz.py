"""A hub that misbehaves in any way: the pinned bytes in the end, or an error in words."""

import gzip
import random
import shutil
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cardproof.data.hub import fetch
from cardproof.data.receive import NEXT_TO_NOTHING, SourceError
from dev.loopback import REVISION, Handler, Hub, Seen, sha
from tests.conftest import assert_untouched
from tests.data.test_hub import at_hub, repository

DATA = random.Random(2).randbytes(3 * NEXT_TO_NOTHING)
PATH = at_hub("train")
OFFSETS = st.integers(0, len(DATA))
STATUSES = [204, 301, 307, 400, 401, 403, 404, 408, 416, 429, 500, 503]
ANSWERS = st.one_of(
    st.tuples(st.just("cut"), OFFSETS),
    st.tuples(st.just("status"), st.sampled_from(STATUSES)),
    st.tuples(
        st.sampled_from(["other bytes", "too few", "too many", "other range", "whole"]), OFFSETS
    ),
    st.tuples(st.sampled_from(["compressed", "no HTTP", "endless header"]), st.just(0)),
)
Answer = tuple[str, int]


def misbehave(handler: Handler, seen: Seen, kind: str, number: int) -> None:
    """Answer a request for the file; `number` is a status, or an offset from where it starts."""
    start = seen.start or 0
    rest, range_ = DATA[start:], {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}
    status = 206 if seen.start else 200
    if kind == "cut":
        handler.send(status, range_, rest[:number], len(rest))
    elif kind == "status":
        handler.send(number, {"Location": f"{handler.hub.url}{PATH}"}, b"")
    elif kind == "other bytes":
        handler.send(status, range_, rest[:number] + bytes(len(rest[number:])))
    elif kind == "too few":
        handler.send(status, range_, rest[:number])
    elif kind == "too many":
        handler.send(status, range_, rest + bytes(number))
    elif kind == "other range":
        handler.send(206, {"Content-Range": f"bytes {number}-"}, DATA[number:])
    elif kind == "whole":
        handler.send(200, {}, DATA)
    elif kind == "compressed":
        handler.send(status, range_ | {"Content-Encoding": "gzip"}, gzip.compress(rest, 1))
    else:
        handler.close_connection = True
        handler.wfile.write(
            b"\xff" * 99 if kind == "no HTTP" else b"HTTP/1.1 200 " + b"a" * 200_000
        )


def announce(handler: Handler) -> None:
    handler.send_response(200)
    head = {"ETag": f'"{sha(DATA)}"', "X-Repo-Commit": REVISION, "Content-Length": len(DATA)}
    for name, value in head.items():
        handler.send_header(name, str(value))
    handler.end_headers()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(answers=st.lists(ANSWERS, max_size=12))
@example(answers=[("cut", NEXT_TO_NOTHING)] * 3)
@example(answers=[("cut", 7)] * 5 + [("whole", 0)])
def test_the_pinned_bytes_come_in_the_end_and_an_error_is_in_words(
    hub: Hub, folder: Path, tmp_path: Path, answers: list[Answer]
) -> None:
    left = iter(answers)

    def answer(handler: Handler, seen: Seen) -> bool:
        if seen.method == "HEAD":
            announce(handler)
            return True
        for kind, number in left:
            with suppress(OSError):  # the client has hung up
                misbehave(handler, seen, kind, number)
            return True
        return False

    for place in (tmp_path / "hf", folder):
        shutil.rmtree(place, ignore_errors=True)
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    hub.files, hub.answer = {PATH: DATA}, answer
    hub.sent.clear()
    for _ in range(len(answers) + 1):
        try:
            fetch(repository(train=DATA), folder, mirrors=[])
        except SourceError as error:
            assert "train.parquet" in str(error)
            assert_untouched(folder)
        else:
            break
    assert (folder / "train.parquet").read_bytes() == DATA
    assert not list((tmp_path / "hf").rglob("*.incomplete"))
    if all(kind == "cut" for kind, _ in answers):
        assert hub.sent[PATH] == len(DATA)  # none of them twice
