"""Getting pinned files, with the hub's real client against a hub of our own on loopback."""

import errno
import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from cardproof.data.hub import Fetched, PinnedFile, Repository, SourceError, fetch
from cardproof.files import (
    FilesError,
    replace_folder,
    working_folder,
    write_json,
    write_text_atomic,
)

REVISION = "0123456789abcdef0123456789abcdef01234567"
MIB = 1 << 20
# Longer than the 10 MiB blocks in which the client writes: a break inside one loses that block.
LONG = random.Random(1).randbytes(13 * MIB)
TRAIN = b"train reviews" * 100
TEST = b"test reviews" * 100
HANG = 0  # in place of a status: no answer at all


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def repository(**files: bytes) -> Repository:
    """A dataset whose file train=b"..." is plain/train.parquet, and so on."""
    pins = (PinnedFile(f"plain/{name}.parquet", sha(data)) for name, data in files.items())
    return Repository("dataset", "someone/reviews", REVISION, tuple(pins))


def at_hub(name: str) -> str:
    return f"/datasets/someone/reviews/resolve/{REVISION}/plain/{name}.parquet"


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    start: int | None  # of the Range header
    token: str | None


@dataclass
class Hub:
    """What the hub on loopback has, how it misbehaves, and what it was asked."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    statuses: Iterator[int] = field(default_factory=lambda: iter(()))  # then 200 or 404
    cuts: Iterator[int] = field(default_factory=lambda: iter(()))  # close after this offset
    headers: dict[str, str] = field(default_factory=dict)  # of every error
    seen: list[Seen] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    answer: "Callable[[Handler, Seen], bool] | None" = None  # True: it has answered itself

    def gets(self, name: str) -> list[int | None]:
        """Where each download of the file started; None is a request for the whole."""
        return [s.start for s in self.seen if s.method == "GET" and s.path == at_hub(name)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, with_body: bool) -> None:
        if "/resolve/" not in self.path:  # the client asks for things of its own, once a process
            self.send(404, {}, b"")
            return
        asked = self.headers["Range"]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else None
        token = self.headers["Authorization"]
        self.hub.seen.append(seen := Seen(self.command, self.path, start, token))
        if self.hub.answer and self.hub.answer(self, seen):
            return
        data = self.hub.files.get(self.path)
        status = next(self.hub.statuses, 404 if data is None else 200)
        if status == HANG:
            self.hub.release.wait(10)
        if status != 200 or data is None:
            self.send(status or 500, self.hub.headers, b"")
            return
        head = {"ETag": f'"{sha(data)}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
        if start is not None:
            head["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        end = next(self.hub.cuts, len(data)) if with_body else 0
        length = len(data) - (start or 0)
        self.send(200 if start is None else 206, head, data[start or 0 : end], length)

    def send(
        self, status: int, headers: dict[str, str], body: bytes, length: int | None = None
    ) -> None:
        length = len(body) if length is None else length
        self.close_connection = len(body) != length  # also what cuts a download off
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on loopback that the client in this process is led to."""

    class OwnHandler(Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), OwnHandler)
    OwnHandler.hub = hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    lead_client_to(hub.url, tmp_path, monkeypatch)
    yield hub
    hub.release.set()
    server.shutdown()
    server.server_close()
    thread.join(10)


def lead_client_to(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what HF_ENDPOINT and HF_HOME do: the client reads them once, when it is imported."""
    from huggingface_hub import close_session, constants

    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + template)
    monkeypatch.setattr(constants, "HF_HOME", str(home / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    close_session()  # an older one may have read other proxies


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds the client would have slept between tries: up to 23 for one request."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A target folder with an earlier content."""
    target = tmp_path / "out" / "data"
    target.mkdir(parents=True)
    (target / "old.txt").write_text("old")
    return target


def assert_untouched(folder: Path) -> None:
    assert [(p.name, p.read_text()) for p in folder.iterdir()] == [("old.txt", "old")]
    assert list(folder.parent.iterdir()) == [folder]  # nothing was left beside it


def fill_mirror(mirror: Path, **files: bytes) -> Path:
    for name, data in files.items():
        path = mirror / "datasets" / "someone" / "reviews" / "plain" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return mirror


def test_hub_files_replace_the_folder(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.files = {at_hub("train"): TRAIN, at_hub("test"): TEST}
    fetched = fetch(repository(train=TRAIN, test=TEST), folder, mirrors=[])
    assert fetched == [
        Fetched(folder / "train.parquet", f"hub {hub.url}", len(TRAIN)),
        Fetched(folder / "test.parquet", f"hub {hub.url}", len(TEST)),
    ]
    found = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert json.loads(found.pop("sums.json")) == {
        "test.parquet": sha(TEST),
        "train.parquet": sha(TRAIN),
    }
    assert found == {"train.parquet": TRAIN, "test.parquet": TEST}
    assert list(folder.parent.iterdir()) == [folder]
    assert not list((tmp_path / "hf").rglob("*.incomplete"))


def test_model_file_takes_its_target_name(hub: Hub, folder: Path) -> None:
    hub.files = {f"/someone/bert/resolve/{REVISION}/a/config.json": TEST}
    pin = PinnedFile("a/config.json", sha(TEST), target="settings.json")
    fetch(Repository("model", "someone/bert", REVISION, (pin,)), folder, mirrors=[])
    assert (folder / "settings.json").read_bytes() == TEST


def test_cut_once_goes_on_within_the_call(hub: Hub, folder: Path) -> None:
    hub.files = {at_hub("train"): LONG}
    hub.cuts = iter([11 * MIB])
    fetch(repository(train=LONG), folder, mirrors=[])
    assert hub.gets("train") == [None, 10 * MIB]
    assert (folder / "train.parquet").read_bytes() == LONG


def test_cut_always_goes_on_in_the_next_call(hub: Hub, folder: Path, pauses: list[float]) -> None:
    hub.files = {at_hub("train"): LONG}
    hub.cuts = repeat(11 * MIB)
    with pytest.raises(SourceError, match=r"connection broke .*run again to go on from there"):
        fetch(repository(train=LONG), folder, mirrors=[])
    assert_untouched(folder)
    assert hub.gets("train") == [None] + 5 * [10 * MIB]  # it gives up
    assert sum(pauses) < 10
    hub.cuts = iter(())
    hub.seen.clear()
    fetch(repository(train=LONG), folder, mirrors=[])
    assert hub.gets("train") == [10 * MIB]
    assert (folder / "train.parquet").read_bytes() == LONG


def test_wrong_bytes_are_removed_and_fetched_afresh(hub: Hub, folder: Path) -> None:
    hub.files = {at_hub("train"): TEST}
    with pytest.raises(SourceError) as caught:
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert all(text in str(caught.value) for text in ("train.parquet", sha(TRAIN), sha(TEST)))
    assert_untouched(folder)
    hub.files = {at_hub("train"): TRAIN}
    hub.seen.clear()
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert hub.gets("train") == [None]
    assert (folder / "train.parquet").read_bytes() == TRAIN


@pytest.mark.parametrize("size", [len(TRAIN), len(TRAIN) + 1])
def test_part_with_no_room_left_starts_over(
    hub: Hub, folder: Path, tmp_path: Path, size: int
) -> None:
    hub.files = {at_hub("train"): LONG}
    hub.cuts = repeat(11 * MIB)
    with pytest.raises(SourceError):
        fetch(repository(train=LONG), folder, mirrors=[])
    (part,) = (tmp_path / "hf").rglob("*.incomplete")
    part.rename(part.with_name(part.name.replace(sha(LONG)[:16], sha(TRAIN)[:16])))
    (part,) = (tmp_path / "hf").rglob("*.incomplete")
    part.write_bytes(b"x" * size)
    hub.files, hub.cuts = {at_hub("train"): TRAIN}, iter(())
    hub.seen.clear()
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert hub.gets("train") == [None]
    assert (folder / "train.parquet").read_bytes() == TRAIN


def test_server_error_once_is_retried(hub: Hub, folder: Path) -> None:
    hub.files = {at_hub("train"): TRAIN}
    hub.statuses = iter([503])
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert [s.method for s in hub.seen] == ["HEAD", "HEAD", "GET"]
    assert (folder / "train.parquet").read_bytes() == TRAIN


@pytest.mark.parametrize("before", [0, 1])  # answers before it: asked for the length, the file
def test_a_pause_that_the_hub_asks_for_is_given(
    hub: Hub, folder: Path, pauses: list[float], before: int
) -> None:
    hub.files = {at_hub("train"): TRAIN}
    hub.statuses = chain(repeat(200, before), [429])
    hub.headers = {"Retry-After": "7"}
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert 8 in pauses  # a second more, against rounding; other threads may sleep, too
    assert (folder / "train.parquet").read_bytes() == TRAIN


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_redirects_without_end_are_given_up(hub: Hub, folder: Path, method: str) -> None:
    def around(handler: Handler, seen: Seen) -> bool:
        if seen.method == method:
            other = handler.path.removesuffix("?") + ("" if handler.path.endswith("?") else "?")
            handler.send(302, {"Location": other}, b"")
        return seen.method == method

    hub.files, hub.answer = {at_hub("train"): TRAIN}, around
    with pytest.raises(SourceError, match="sent from one address to the next without end"):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert len(hub.seen) <= 23
    assert_untouched(folder)


def test_a_slow_hub_is_waited_for_as_long_as_it_sends(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    def trickle(handler: Handler, seen: Seen) -> bool:
        if seen.method == "GET":
            handler.send(200, {}, b"", len(TRAIN))
            for start in range(0, len(TRAIN), 100):
                handler.wfile.write(TRAIN[start : start + 100])
                hub.release.wait(0.1)
        return seen.method == "GET"

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    hub.files, hub.answer = {at_hub("train"): TRAIN}, trickle
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert hub.gets("train") == [None]
    assert (folder / "train.parquet").read_bytes() == TRAIN


def announcing(length: int, *, body: bytes | None = None) -> "Callable[[Handler, Seen], bool]":
    """A hub that announces a length when asked for it, and then sends a body of another."""

    def answer(handler: Handler, seen: Seen) -> bool:
        if seen.method == "HEAD":
            handler.send(200, {"ETag": '"x"', "X-Repo-Commit": REVISION}, b"", length)
        elif body is not None:
            handler.send(200, {}, body)
        return seen.method == "HEAD" or body is not None

    return answer


def test_a_length_announced_too_long_does_not_matter_if_the_sum_is_right(
    hub: Hub, folder: Path
) -> None:
    hub.files, hub.answer = {at_hub("train"): TRAIN}, announcing(len(TRAIN) + 50)
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert (folder / "train.parquet").read_bytes() == TRAIN


@pytest.mark.parametrize(
    ("announced", "body"),
    [
        (len(TRAIN) - 50, TRAIN),
        (len(TRAIN), TRAIN[:-50]),
        (len(TRAIN), TRAIN + b"more"),
        (len(TRAIN), b""),
    ],
)
def test_another_length_than_announced_is_refused_and_fetched_afresh(
    hub: Hub, folder: Path, announced: int, body: bytes
) -> None:
    hub.files, hub.answer = {at_hub("train"): TRAIN}, announcing(announced, body=body)
    with pytest.raises(SourceError, match=rf"another file .*having announced {announced:,}\."):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert_untouched(folder)
    hub.answer = None
    hub.seen.clear()
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert hub.gets("train") == [None]
    assert (folder / "train.parquet").read_bytes() == TRAIN


def test_a_hub_that_sends_without_end_is_stopped(hub: Hub, folder: Path) -> None:
    sent = 0

    def endless(handler: Handler, seen: Seen) -> bool:
        nonlocal sent
        if seen.method != "GET":
            return False
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        with suppress(OSError):  # the client hangs up
            while sent < 200 * MIB:
                handler.wfile.write(b"100000\r\n" + bytes(MIB) + b"\r\n")
                sent += MIB
        return True

    hub.files, hub.answer = {at_hub("train"): TRAIN}, endless
    with pytest.raises(SourceError, match="another file than the pinned one"):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert sent < 100 * MIB
    assert_untouched(folder)


def cut_off_once(hub: Hub, folder: Path) -> None:
    """Leave a part of 10 MiB of LONG behind."""
    hub.files, hub.cuts = {at_hub("train"): LONG}, repeat(11 * MIB)
    with pytest.raises(SourceError):
        fetch(repository(train=LONG), folder, mirrors=[])
    hub.cuts = iter(())
    hub.seen.clear()


def test_a_hub_that_does_not_go_on_but_sends_all_again(hub: Hub, folder: Path) -> None:
    def whole(handler: Handler, seen: Seen) -> bool:
        if seen.start:
            handler.send(200, {}, LONG)
        return bool(seen.start)

    cut_off_once(hub, folder)
    hub.answer = whole
    fetch(repository(train=LONG), folder, mirrors=[])
    assert hub.gets("train") == [10 * MIB]
    assert (folder / "train.parquet").read_bytes() == LONG


def test_a_hub_that_has_nothing_to_go_on_with_is_asked_afresh_next_time(
    hub: Hub, folder: Path
) -> None:
    def nothing(handler: Handler, seen: Seen) -> bool:
        if seen.start:
            handler.send(416, {"Content-Range": f"bytes */{MIB}"}, b"")
        return bool(seen.start)

    cut_off_once(hub, folder)
    hub.answer = nothing
    with pytest.raises(SourceError, match=r"HTTP 416, nothing to go on with .*run again"):
        fetch(repository(train=LONG), folder, mirrors=[])
    assert_untouched(folder)
    fetch(repository(train=LONG), folder, mirrors=[])
    assert hub.gets("train") == [10 * MIB, None]
    assert (folder / "train.parquet").read_bytes() == LONG


@pytest.mark.parametrize(
    ("status", "code", "words", "tries"),
    [
        (500, "", "HTTP 500, failed; try again later", 6),
        (429, "", "HTTP 429, too many requests", 6),
        (404, "EntryNotFound", "HTTP 404, no such file at the revision", 1),
        (404, "RevisionNotFound", "HTTP 404, no such revision", 1),
        (404, "RepoNotFound", "HTTP 404, no such repository, or log in", 1),
        (401, "", "HTTP 401, .*HF_TOKEN", 1),
        (403, "", "HTTP 403, refused; log in .*HF_TOKEN", 1),
        (403, "GatedRepo", "HTTP 403, the repository is gated.*HF_TOKEN", 1),
    ],
)
def test_refusals_come_in_words(
    hub: Hub, folder: Path, pauses: list[float], status: int, code: str, words: str, tries: int
) -> None:
    hub.statuses = repeat(status)
    hub.headers = {"X-Error-Code": code} if code else {}
    with pytest.raises(SourceError, match=words):
        fetch(repository(train=TRAIN, test=TEST), folder, mirrors=[])
    assert len(hub.seen) == tries  # and the second file was not asked for
    assert sum(pauses) <= 23
    assert_untouched(folder)


@pytest.mark.parametrize("answered", [0, 1])  # silent from the start, or from the download on
def test_silent_hub_is_given_up(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.4)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.4)
    hub.files = {at_hub("train"): TRAIN}
    hub.statuses = chain(repeat(200, answered), repeat(HANG))
    with pytest.raises(SourceError, match="no answer in time"):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    # Six tries; on a busy machine one may time out before the server has seen it.
    assert answered + 2 <= len(hub.seen) <= answered + 6
    assert_untouched(folder)


def test_unreachable_hub_says_what_to_place_where(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    lead_client_to("http://127.0.0.1:1", tmp_path, monkeypatch)  # a port that nothing listens on
    have, absent = fill_mirror(tmp_path / "have", train=TRAIN), tmp_path / "absent"
    with pytest.raises(SourceError) as caught:
        fetch(repository(train=TRAIN, test=TEST), folder, mirrors=[have, absent])
    text = str(caught.value)
    assert "no source for 1 of 2 files" in text
    assert f"mirror {absent}: no such folder" in text
    assert "http://127.0.0.1:1" in text
    assert "refused" in text
    place = have / "datasets" / "someone" / "reviews" / "plain" / "test.parquet"
    assert f"{place}\n    sha256 {sha(TEST)}" in text
    assert sha(TRAIN) not in text
    assert sum(pauses) <= 23
    assert_untouched(folder)
    with pytest.raises(SourceError, match="set CARDPROOF_MIRROR") as caught:
        fetch(repository(train=TRAIN, test=TEST), folder, mirrors=[])
    assert "  datasets/someone/reviews/plain/train.parquet\n" in str(caught.value)


def test_second_file_failing_keeps_the_first_for_next_time(hub: Hub, folder: Path) -> None:
    hub.files = {at_hub("train"): TRAIN}
    pinned = repository(train=TRAIN, test=TEST)
    with pytest.raises(SourceError, match=r"plain/test\.parquet") as caught:
        fetch(pinned, folder, mirrors=[])
    assert sha(TRAIN) not in str(caught.value)
    assert_untouched(folder)
    hub.files[at_hub("test")] = TEST
    fetch(pinned, folder, mirrors=[])
    assert hub.gets("train") == [None]
    assert (folder / "train.parquet").read_bytes() == TRAIN


def test_hub_cache_is_used_and_a_wrong_file_in_it_is_not(
    hub: Hub, folder: Path, tmp_path: Path
) -> None:
    from huggingface_hub import hf_hub_download

    hub.files = {at_hub("train"): TRAIN}
    path = hf_hub_download(
        "someone/reviews",
        "plain/train.parquet",
        repo_type="dataset",
        revision=REVISION,
        cache_dir=tmp_path / "hf" / "hub",
    )
    hub.seen.clear()
    fetched = fetch(repository(train=TRAIN), folder, mirrors=[], offline=True)
    assert fetched[0].source == "the hub's cache"
    assert not hub.seen
    Path(path).write_bytes(TEST)
    fetched = fetch(repository(train=TRAIN), folder, mirrors=[])
    assert fetched[0].source == f"hub {hub.url}"
    assert (folder / "train.parquet").read_bytes() == TRAIN


def test_offline_and_embedded_do_not_ask_the_hub(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    hub.files = {at_hub("train"): TRAIN}
    pinned = repository(train=TRAIN)
    with pytest.raises(SourceError, match="not asked: offline"):
        fetch(pinned, folder, mirrors=[], offline=True)
    embedded = Repository("dataset", pinned.name, None, pinned.files)
    with pytest.raises(SourceError, match="not on the hub"):
        fetch(embedded, folder, mirrors=[])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match="HF_HUB_OFFLINE is set"):
        fetch(pinned, folder, mirrors=[])
    assert not hub.seen
    assert_untouched(folder)


def test_full_disk_is_not_said_to_be_the_hub(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    hub.files = {at_hub("train"): TRAIN}
    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(FilesError, match=r"/hf: No space left on device") as caught:
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert hub.url not in str(caught.value)
    assert_untouched(folder)


def test_fault_of_this_machine_comes_in_words(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.files = {at_hub("train"): TRAIN}
    (tmp_path / "hf").write_text("a file where HF_HOME must be")
    with pytest.raises(SourceError, match=r"/hf/.*is as it was; mend the cause"):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert_untouched(folder)


def test_mirrors_come_first_in_their_order(hub: Hub, folder: Path, tmp_path: Path) -> None:
    first = fill_mirror(tmp_path / "first", train=TRAIN)
    second = fill_mirror(tmp_path / "second", train=b"not looked at", test=TEST)
    fetched = fetch(repository(train=TRAIN, test=TEST), folder, mirrors=[first, second])
    assert [f.source for f in fetched] == [f"mirror {first}", f"mirror {second}"]
    assert (folder / "train.parquet").read_bytes() == TRAIN
    assert (folder / "test.parquet").read_bytes() == TEST
    assert (folder / "test.parquet").stat().st_nlink == 1  # a copy: the mirror cannot be damaged
    assert not hub.seen


def test_wrong_mirror_file_stops_at_once(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.files = {at_hub("train"): TRAIN, at_hub("test"): TEST}
    mirror = fill_mirror(tmp_path / "mirror", train=TRAIN, test=b"spoilt")
    with pytest.raises(SourceError) as caught:
        fetch(repository(train=TRAIN, test=TEST), folder, mirrors=[mirror])
    text = str(caught.value)
    assert all(t in text for t in ("test.parquet", sha(TEST), sha(b"spoilt"), "Replace it"))
    assert_untouched(folder)
    assert not hub.seen


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_mirror_link_must_stay_inside(folder: Path, tmp_path: Path, linked: str) -> None:
    outside = fill_mirror(tmp_path / "outside", train=TRAIN)
    mirror = fill_mirror(tmp_path / "mirror", test=TEST)
    relative = Path("datasets/someone/reviews/plain/train.parquet")
    if linked == "folder":
        (mirror / "datasets").rename(tmp_path / "aside")
        relative = Path("datasets")
    (mirror / relative).symlink_to(outside / relative)
    with pytest.raises(SourceError, match="a link leads out of the mirror"):
        fetch(repository(train=TRAIN), folder, mirrors=[mirror])
    assert_untouched(folder)
    if linked == "file":
        (mirror / "real").write_bytes(TRAIN)
        (mirror / relative).unlink()
        (mirror / relative).symlink_to(mirror / "real")
        fetch(repository(train=TRAIN), folder, mirrors=[mirror])
        assert not (folder / "train.parquet").is_symlink()


@pytest.mark.parametrize(
    "path", ["../a.json", "a/../b.json", "/a.json", "a//b.json", "a/", "", ".", "a\\b", "a\0b"]
)
def test_unsafe_names_are_refused(path: str) -> None:
    with pytest.raises(SourceError, match="plain relative name"):
        PinnedFile(path, sha(TEST))
    with pytest.raises(SourceError, match="plain relative name"):
        PinnedFile("a.json", sha(TEST), target=path)
    with pytest.raises(SourceError, match="plain relative name"):
        Repository("model", path, REVISION, ())


@pytest.mark.parametrize("name", ["pytorch_model.bin", "a/x.PT", "x.pth", "x.ckpt", "x.pkl"])
def test_formats_that_run_code_are_refused(name: str) -> None:
    with pytest.raises(SourceError, match="pickle can run code"):
        PinnedFile(name, sha(TEST))
    PinnedFile("model.safetensors", sha(TEST))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: PinnedFile("a.json", "12ab"), "not 64 digits"),
        (lambda: PinnedFile("a.json", sha(TEST), target="b/a.json"), "without folders"),
        (lambda: Repository("model", "a/b", "main", ()), "can move"),
        (
            lambda: Repository(
                "model",
                "a/b",
                REVISION,
                (PinnedFile("x/A.json", sha(TEST)), PinnedFile("y/a.json", sha(TEST))),
            ),
            "would both become a.json",
        ),
    ],
)
def test_unclear_pins_are_refused(build: Callable[[], object], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        build()


def test_environment_leads_the_client_and_is_read_late(hub: Hub, tmp_path: Path) -> None:
    hub.files = {at_hub("train"): TRAIN}
    code = f"""
import sys
from pathlib import Path
from cardproof.data.hub import PinnedFile, Repository, fetch
assert "huggingface_hub" not in sys.modules, "importing cardproof.data.hub must stay quick"
pin = PinnedFile("plain/train.parquet", "{sha(TRAIN)}")
fetch(Repository("dataset", "someone/reviews", "{REVISION}", (pin,)), Path("out"), mirrors=[])
"""
    home = tmp_path / "own-home"
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": "hf_of_this_test"}
    root = str(Path(__file__).parents[2])
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        # TQDM_POSITION has the client show its bar although stderr is no terminal here
        env=env | own | {"PYTHONPATH": root, "NO_PROXY": "127.0.0.1", "TQDM_POSITION": "-1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "train.parquet").read_bytes() == TRAIN
    assert {s.token for s in hub.seen} == {"Bearer hf_of_this_test"}
    assert "train.parquet" in done.stderr  # the progress bar
    assert (home / "cardproof").is_dir()


def test_two_downloads_at_once_into_one_folder(hub: Hub, tmp_path: Path) -> None:
    hub.files = {at_hub("train"): LONG, at_hub("test"): TEST}
    pins = [(f"plain/{n}.parquet", sha(data)) for n, data in (("train", LONG), ("test", TEST))]
    code = f"""
from pathlib import Path
from cardproof.data.hub import PinnedFile, Repository, fetch
pins = tuple(PinnedFile(*pin) for pin in {pins!r})
fetch(Repository("dataset", "someone/reviews", "{REVISION}", pins), Path("out/data"), mirrors=[])
"""
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
    own["PYTHONPATH"] = str(Path(__file__).parents[2])
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_"))}
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=env | own, stderr=PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    made = {p.name: p.read_bytes() for p in (tmp_path / "out/data").iterdir()}
    assert made.keys() == {"train.parquet", "test.parquet", "sums.json"}
    assert (made["train.parquet"], made["test.parquet"]) == (LONG, TEST)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["data"]
    assert set(hub.gets("train")) == {None}  # one after the other, no part taken for the other's


def test_folders_put_in_one_place_at_once_are_each_whole(tmp_path: Path) -> None:
    final = tmp_path / "data"

    def put(name: str) -> list[str]:
        faults = []
        for _ in range(60):
            try:
                with working_folder(final) as work:
                    (work / "a").write_text(name)
                    (work / "b").write_text(name)
            except OSError as error:
                faults.append(repr(error))
        return faults

    with ThreadPoolExecutor(4) as pool:
        assert [fault for faults in pool.map(put, "wxyz") for fault in faults] == []
    assert (final / "a").read_text() == (final / "b").read_text()
    assert list(tmp_path.iterdir()) == [final]


def test_working_folder_is_all_or_nothing(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), working_folder(folder) as work:
        (work / "half.txt").write_text("half")
        raise KeyboardInterrupt
    assert_untouched(folder)
    with pytest.raises(FilesError, match="move it away"), working_folder(folder / "old.txt"):
        pass
    assert_untouched(folder)
    with pytest.raises(FileNotFoundError):
        replace_folder(folder.parent / "absent", folder)
    assert_untouched(folder)
    link = folder.parent / "link"
    link.symlink_to(folder.parent / "nothing")
    with pytest.raises(FilesError, match="move it away"), working_folder(link):
        pass
    link.unlink()
    assert_untouched(folder)


def test_atomic_text_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    cached, link = tmp_path / "cached", tmp_path / "link"
    cached.write_text("kept")
    link.symlink_to(cached)
    with pytest.raises(UnicodeEncodeError):
        write_text_atomic(link, "\ud800")
    write_text_atomic(link, "new")
    assert (link.read_text(), cached.read_text()) == ("new", "kept")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cached", "link"]


def test_json_is_flat_finite_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "m.json"
    write_json(path, {"b": 0.5, "a": None, "c": "é", "d": True})
    text = path.read_text(encoding="utf-8")
    assert text == '{\n  "b": 0.5,\n  "a": null,\n  "c": "é",\n  "d": true\n}\n'
    for bad in (float("nan"), float("-inf"), [1]):
        with pytest.raises(FilesError, match="loss is"):
            write_json(path, {"loss": bad})  # type: ignore[dict-item]
    assert json.loads(path.read_text(encoding="utf-8"))["b"] == 0.5
