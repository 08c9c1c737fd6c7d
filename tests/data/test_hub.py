"""Getting pinned files, with the hub's real client against a hub on loopback."""

import errno
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path
from subprocess import PIPE

import pytest

from cardproof.data.hub import PinnedFile, Repository, fetch
from cardproof.data.receive import SourceError
from cardproof.files import FilesError
from dev.loopback import HANG, REVISION, Handler, Hub, Seen, sha
from tests.conftest import PATIENCE, assert_untouched
from tests.data.conftest import lead_client_to

MIB = 1 << 20
# Longer than the 10 MiB blocks in which the client's own downloads lose what came.
LONG = random.Random(1).randbytes(13 * MIB)
TRAIN = b"train reviews" * 100
TEST = b"test reviews" * 100


def repository(**files: bytes) -> Repository:
    """A dataset whose file train=b"..." is plain/train.parquet, and so on."""
    pins = (
        PinnedFile(f"plain/{name}.parquet", sha(data), f"{name}.parquet")
        for name, data in files.items()
    )
    return Repository("dataset", "someone/reviews", REVISION, tuple(pins))


def cached(home: Path, name: str) -> Path:
    """Where the client's cache has the file by its commit: a link to a blob."""
    snapshots = home / "hf/hub/datasets--someone--reviews/snapshots"
    return snapshots / REVISION / f"plain/{name}.parquet"


def at_hub(name: str) -> str:
    return f"/datasets/someone/reviews/resolve/{REVISION}/plain/{name}.parquet"


def fill_mirror(mirror: Path, **files: bytes) -> Path:
    for name, data in files.items():
        path = mirror / "datasets" / "someone" / "reviews" / "plain" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return mirror


def test_hub_files_replace_the_folder(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.files = {at_hub("train"): TRAIN, at_hub("test"): TEST}
    fetched = fetch(repository(train=TRAIN, test=TEST), folder, mirrors=[])
    assert fetched == {name: f"hub {hub.url}" for name in ("train.parquet", "test.parquet")}
    found = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert json.loads(found.pop("sums.json")) == {
        "test.parquet": sha(TEST),
        "train.parquet": sha(TRAIN),
    }
    assert found == {"train.parquet": TRAIN, "test.parquet": TEST}
    assert list(folder.parent.iterdir()) == [folder]
    assert not list((tmp_path / "hf").rglob("*.incomplete"))
    for name, data in (("train", TRAIN), ("test", TEST)):
        link = cached(tmp_path, name)
        assert link.read_bytes() == data
        assert link.resolve().name == sha(data)
        assert link.resolve().stat().st_nlink == 1  # the folder has a copy, no link
    assert {path: hub.sent[path] for path in hub.files} == {
        path: len(data) for path, data in hub.files.items()
    }


def test_other_programs_find_what_was_fetched(hub: Hub, folder: Path, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download, scan_cache_dir

    hub.files = {at_hub("train"): TRAIN}
    fetch(repository(train=TRAIN), folder, mirrors=[])
    asked = len(hub.seen)
    path = hf_hub_download(
        "someone/reviews", "plain/train.parquet", repo_type="dataset", revision=REVISION,
        cache_dir=tmp_path / "hf/hub",
    )  # fmt: skip
    assert Path(path) == cached(tmp_path, "train")
    assert len(hub.seen) == asked
    (repo,) = scan_cache_dir(tmp_path / "hf/hub").repos
    assert (repo.repo_id, repo.size_on_disk) == ("someone/reviews", len(TRAIN))


def test_model_file_takes_its_target_name(hub: Hub, folder: Path) -> None:
    hub.files = {f"/someone/bert/resolve/{REVISION}/a/config.json": TEST}
    pin = PinnedFile("a/config.json", sha(TEST), "settings.json")
    fetch(Repository("model", "someone/bert", REVISION, (pin,)), folder, mirrors=[])
    assert (folder / "settings.json").read_bytes() == TEST


def test_cut_once_resumes_within_the_call(hub: Hub, folder: Path) -> None:
    hub.files = {at_hub("train"): LONG}
    hub.cuts = iter([11 * MIB])
    fetch(repository(train=LONG), folder, mirrors=[])
    assert hub.gets(at_hub("train")) == [None, 11 * MIB]
    assert (folder / "train.parquet").read_bytes() == LONG


def test_cut_always_resumes_in_the_next_call(
    hub: Hub, folder: Path, tmp_path: Path, pauses: list[float]
) -> None:
    from huggingface_hub import scan_cache_dir

    hub.files = {at_hub("train"): LONG}
    hub.cuts = repeat(11 * MIB)
    with pytest.raises(SourceError, match=r"connection broke .*run again to resume"):
        fetch(repository(train=LONG), folder, mirrors=[])
    assert_untouched(folder)
    assert hub.gets(at_hub("train")) == [None] + 6 * [11 * MIB]  # it gives up
    assert sum(pauses) < 10
    (part,) = scan_cache_dir(tmp_path / "hf/hub").incomplete_files  # `hf cache prune` finds it
    assert (part.file_path.name, part.size_on_disk) == (f"{sha(LONG)}.incomplete", 11 * MIB)
    hub.cuts = iter(())
    hub.seen.clear()
    hub.sent.clear()
    fetch(repository(train=LONG), folder, mirrors=[])
    assert hub.gets(at_hub("train")) == [11 * MIB]
    assert hub.sent[at_hub("train")] == len(LONG) - 11 * MIB  # only the rest
    assert (folder / "train.parquet").read_bytes() == LONG
    assert not list((tmp_path / "hf").rglob("*.incomplete"))


def test_wrong_bytes_are_removed_and_fetched_afresh(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.files = {at_hub("train"): TEST}
    with pytest.raises(SourceError) as caught:
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert all(text in str(caught.value) for text in ("train.parquet", sha(TRAIN), sha(TEST)))
    assert_untouched(folder)
    assert not [p for p in (tmp_path / "hf").rglob("*") if p.is_file() and p.stat().st_size > 64]
    hub.files = {at_hub("train"): TRAIN}
    hub.seen.clear()
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert hub.gets(at_hub("train")) == [None]
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
    part.rename(part.with_name(part.name.replace(sha(LONG), sha(TRAIN))))
    (part,) = (tmp_path / "hf").rglob("*.incomplete")
    part.write_bytes(b"x" * size)
    hub.files, hub.cuts = {at_hub("train"): TRAIN}, iter(())
    hub.seen.clear()
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert hub.gets(at_hub("train")) == [None]
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


@pytest.mark.parametrize(
    ("before", "status", "headers"),
    [
        (0, 429, {"Retry-After": "86400"}),
        (1, 503, {"Retry-After": "121"}),
        (1, 429, {"RateLimit": '"api";r=0;t=3600'}),
    ],
)
def test_a_pause_too_long_is_given_up_and_its_length_said(
    hub: Hub, folder: Path, pauses: list[float], before: int, status: int, headers: dict[str, str]
) -> None:
    hub.files, hub.headers = {at_hub("train"): TRAIN}, headers
    hub.statuses = chain(repeat(200, before), repeat(status))
    with pytest.raises(SourceError, match=rf"HTTP {status}.* pause of [\d,]+ s; at most 120 s"):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert sum(pauses) < 2
    assert len(hub.seen) == before + 1
    assert_untouched(folder)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_redirects_without_end_are_given_up(hub: Hub, folder: Path, method: str) -> None:
    def around(handler: Handler, seen: Seen) -> bool:
        if seen.method == method:
            other = handler.path.removesuffix("?") + ("" if handler.path.endswith("?") else "?")
            handler.send(302, {"Location": other}, b"")
        return seen.method == method

    hub.files, hub.answer = {at_hub("train"): TRAIN}, around
    with pytest.raises(SourceError, match="redirects without end"):
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
    assert hub.gets(at_hub("train")) == [None]
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


def test_a_length_announced_too_long_does_not_matter_if_the_checksum_is_right(
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
        (len(TRAIN), b""),
    ],
)
def test_another_length_than_announced_is_refused_and_fetched_afresh(
    hub: Hub, folder: Path, announced: int, body: bytes
) -> None:
    hub.files, hub.answer = {at_hub("train"): TRAIN}, announcing(announced, body=body)
    with pytest.raises(SourceError, match=rf"another file .* of {announced:,} announced\."):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert_untouched(folder)
    hub.answer = None
    hub.seen.clear()
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert hub.gets(at_hub("train")) == [None]
    assert (folder / "train.parquet").read_bytes() == TRAIN


def test_no_more_is_taken_than_was_announced(hub: Hub, folder: Path) -> None:
    hub.files = {at_hub("train"): TRAIN}
    hub.answer = announcing(len(TRAIN), body=TRAIN + b"more")
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert (folder / "train.parquet").read_bytes() == TRAIN


@pytest.mark.parametrize("each", [MIB // 8, MIB, 8 * MIB])
def test_every_byte_counts_where_each_connection_is_cut(hub: Hub, folder: Path, each: int) -> None:
    hub.files = {at_hub("train"): LONG}
    hub.cuts = chain(range(each, len(LONG), each), repeat(len(LONG)))
    fetch(repository(train=LONG), folder, mirrors=[])
    assert hub.gets(at_hub("train")) == [None, *range(each, len(LONG), each)]
    assert hub.sent[at_hub("train")] == len(LONG)
    assert (folder / "train.parquet").read_bytes() == LONG


def test_a_hub_that_trickles_is_given_up_and_resumed_by_the_next_call(
    hub: Hub, folder: Path
) -> None:
    hub.files = {at_hub("train"): TRAIN}
    hub.cuts = iter(range(100, len(TRAIN), 100))
    with pytest.raises(SourceError, match=r"connection broke .*run again to resume"):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    asked = hub.gets(at_hub("train"))
    assert asked == [None, 100, 200, 300, 400, 500][: len(asked)]
    assert len(asked) > 3  # a try may end before the hub hears of it
    hub.cuts = iter(())
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert hub.sent[at_hub("train")] == len(TRAIN)
    assert (folder / "train.parquet").read_bytes() == TRAIN


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (1 << 60, "1,152,921,504,606,846,976 bytes are announced, and a hub sends at most"),
        (-1, r"\(bad Content-Length\)"),
        (None, "no length is announced, as no hub does; check HF_ENDPOINT"),
        ("many", r"\(bad Content-Length\)"),
        (49_000_000_000, "49,000,000,000 bytes are announced, and 1,000,000 are free; make room"),
    ],
)
def test_a_length_that_is_none_is_named(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, length: object, words: str
) -> None:
    def announce(handler: Handler, seen: Seen) -> bool:
        if seen.method == "HEAD":
            handler.send_response(200)
            for name, value in {"ETag": '"x"', "X-Repo-Commit": REVISION}.items():
                handler.send_header(name, value)
            if length is not None:
                handler.send_header("Content-Length", str(length))
            handler.end_headers()
            handler.close_connection = True
        return seen.method == "HEAD"

    room = shutil.disk_usage(folder)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    hub.files, hub.answer = {at_hub("train"): TRAIN}, announce
    with pytest.raises(SourceError, match=words):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert hub.gets(at_hub("train")) == []
    assert_untouched(folder)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ({"Content-Encoding": "gzip"}, "sent in compressed form \\('gzip'\\) though that was not"),
        ({"Content-Range": "bytes 0-9/10"}, "asked for the bytes from 11,534,336 on, .*'bytes 0-9"),
    ],
)
def test_a_body_that_cannot_be_resumed_is_named(
    hub: Hub, folder: Path, head: dict[str, str], words: str
) -> None:
    def other(handler: Handler, seen: Seen) -> bool:
        if seen.method == "GET":
            handler.send(206, head, gzip.compress(LONG[:1000]))
        return seen.method == "GET"

    cut_off_once(hub, folder)
    hub.answer = other
    with pytest.raises(SourceError, match=words):
        fetch(repository(train=LONG), folder, mirrors=[])
    assert_untouched(folder)
    hub.answer = None
    hub.sent.clear()
    fetch(repository(train=LONG), folder, mirrors=[])
    assert hub.sent[at_hub("train")] == len(LONG) - 11 * MIB  # what had come was kept


@pytest.mark.parametrize("token", ["hf_secr\u00e9t", "hf_secr\0t"])
def test_a_token_that_no_header_may_hold_is_not_shown(
    hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    from huggingface_hub import constants

    hub.files = {at_hub("train"): TRAIN}
    (tmp_path / "token").write_text(token, encoding="utf-8")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(SourceError, match="not asked, the token holds what") as caught:
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert "secr" not in str(caught.value)
    assert_untouched(folder)


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
    """Leave a part of 11 MiB of LONG behind."""
    hub.files, hub.cuts = {at_hub("train"): LONG}, repeat(11 * MIB)
    with pytest.raises(SourceError):
        fetch(repository(train=LONG), folder, mirrors=[])
    hub.cuts = iter(())
    hub.seen.clear()


def test_a_hub_that_does_not_resume_but_sends_all_again(hub: Hub, folder: Path) -> None:
    def whole(handler: Handler, seen: Seen) -> bool:
        if seen.start:
            handler.send(200, {}, LONG)
        return bool(seen.start)

    cut_off_once(hub, folder)
    hub.answer = whole
    fetch(repository(train=LONG), folder, mirrors=[])
    assert hub.gets(at_hub("train")) == [11 * MIB]
    assert (folder / "train.parquet").read_bytes() == LONG


def test_a_hub_that_has_nothing_to_resume_from_is_asked_afresh_next_time(
    hub: Hub, folder: Path
) -> None:
    def nothing(handler: Handler, seen: Seen) -> bool:
        if seen.start:
            handler.send(416, {"Content-Range": f"bytes */{MIB}"}, b"")
        return bool(seen.start)

    cut_off_once(hub, folder)
    hub.answer = nothing
    with pytest.raises(SourceError, match=r"HTTP 416, nothing to resume from .*run again"):
        fetch(repository(train=LONG), folder, mirrors=[])
    assert_untouched(folder)
    fetch(repository(train=LONG), folder, mirrors=[])
    assert hub.gets(at_hub("train")) == [11 * MIB, None]
    assert (folder / "train.parquet").read_bytes() == LONG


@pytest.mark.parametrize(
    ("status", "code", "words", "tries"),
    [
        (500, "", "HTTP 500, failed; try again later", 6),
        (429, "", "HTTP 429, too many requests", 6),
        (404, "", "HTTP 404, not found; check HF_ENDPOINT", 1),
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
    assert hub.gets(at_hub("train")) == [None]
    assert (folder / "train.parquet").read_bytes() == TRAIN


def test_what_the_user_has_in_the_hubs_cache_is_used(
    hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants, hf_hub_download

    hub.files = {at_hub("train"): TRAIN, at_hub("test"): TEST}
    hf_hub_download(
        "someone/reviews", "plain/train.parquet", repo_type="dataset", revision=REVISION,
        cache_dir=tmp_path / "hf/hub",
    )  # fmt: skip
    hub.seen.clear()
    fetched = fetch(repository(train=TRAIN, test=TEST), folder, mirrors=[])
    assert fetched == {"train.parquet": "the hub's cache", "test.parquet": f"hub {hub.url}"}
    assert hub.gets(at_hub("train")) == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fetched = fetch(repository(train=TRAIN, test=TEST), folder, mirrors=[])
    assert set(fetched.values()) == {"the hub's cache"}


def test_a_damaged_file_in_the_hubs_cache_is_refused_and_removed(
    hub: Hub, folder: Path, tmp_path: Path
) -> None:
    hub.files = {at_hub("train"): TRAIN, at_hub("test"): TEST}
    pinned = repository(train=TRAIN, test=TEST)
    fetch(pinned, tmp_path / "first", mirrors=[])
    blob = cached(tmp_path, "train").resolve()
    blob.write_bytes(b"damaged")
    hub.seen.clear()
    with pytest.raises(SourceError, match="the hub's cache holds another file") as caught:
        fetch(pinned, folder, mirrors=[])
    assert all(t in str(caught.value) for t in (sha(TRAIN), sha(b"damaged"), "was removed"))
    assert_untouched(folder)
    assert not blob.exists()
    assert not cached(tmp_path, "train").is_symlink()
    assert cached(tmp_path, "test").read_bytes() == TEST  # nothing else
    fetch(pinned, folder, mirrors=[])
    assert (folder / "train.parquet").read_bytes() == TRAIN
    assert hub.gets(at_hub("test")) == []


def test_a_cache_on_a_disk_without_links_holds_the_file_itself(
    hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    hub.files = {at_hub("train"): TRAIN}
    fetch(repository(train=TRAIN), folder, mirrors=[])
    assert not cached(tmp_path, "train").is_symlink()
    fetched = fetch(repository(train=TRAIN), folder, mirrors=[])
    assert fetched == {"train.parquet": "the hub's cache"}
    assert hub.gets(at_hub("train")) == [None]
    cached(tmp_path, "train").write_bytes(b"damaged")
    with pytest.raises(SourceError, match="It was removed"):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert not cached(tmp_path, "train").exists()


def test_a_wrong_pin_costs_no_file_of_the_hubs_cache(
    hub: Hub, folder: Path, tmp_path: Path
) -> None:
    hub.files = {at_hub("train"): TRAIN}
    fetch(repository(train=TRAIN), tmp_path / "first", mirrors=[])
    with pytest.raises(SourceError, match="correct the pinned one"):
        fetch(repository(train=TEST), folder, mirrors=[])
    assert_untouched(folder)
    assert cached(tmp_path, "train").read_bytes() == TRAIN


@pytest.mark.parametrize("head", [{"ETag": '"../../x"', "X-Repo-Commit": REVISION}, {"ETag": "x"}])
def test_a_server_that_is_no_hub_is_refused(hub: Hub, folder: Path, head: dict[str, str]) -> None:
    def other(handler: Handler, _: Seen) -> bool:
        handler.send(200, head, b"", len(TRAIN))
        return True

    hub.answer = other
    with pytest.raises(SourceError, match="as no hub does; check HF_ENDPOINT"):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert_untouched(folder)


def test_offline_and_embedded_do_not_ask_the_hub(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    hub.files = {at_hub("train"): TRAIN}
    pinned = repository(train=TRAIN)
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
    monkeypatch.setattr("cardproof.data.hub.receive", full)
    with pytest.raises(FilesError, match=r"/hf/hub: No space left on device") as caught:
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert hub.url not in str(caught.value)
    assert_untouched(folder)


def test_fault_of_this_machine_comes_in_words(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.files = {at_hub("train"): TRAIN}
    (tmp_path / "hf").write_text("a file where HF_HOME must be")
    with pytest.raises(SourceError, match=r"/hf/.*is as it was; fix the cause"):
        fetch(repository(train=TRAIN), folder, mirrors=[])
    assert_untouched(folder)


def test_mirrors_come_first_in_their_order(hub: Hub, folder: Path, tmp_path: Path) -> None:
    first = fill_mirror(tmp_path / "first", train=TRAIN)
    second = fill_mirror(tmp_path / "second", train=b"not looked at", test=TEST)
    fetched = fetch(repository(train=TRAIN, test=TEST), folder, mirrors=[first, second])
    assert list(fetched.values()) == [f"mirror {first}", f"mirror {second}"]
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


def test_a_mirror_that_is_a_link_to_itself_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SourceError, match=r"CARDPROOF_MIRROR|no such folder"):
        fetch(repository(train=TRAIN)._replace(revision=None), folder, mirrors=[tmp_path / "loop"])
    assert_untouched(folder)


def test_environment_leads_the_client_and_is_read_late(hub: Hub, tmp_path: Path) -> None:
    hub.files = {at_hub("train"): TRAIN}
    code = f"""
import sys
from pathlib import Path
from cardproof.data.hub import PinnedFile, Repository, fetch
assert "huggingface_hub" not in sys.modules, "importing cardproof.data.hub must stay quick"
pin = PinnedFile("plain/train.parquet", "{sha(TRAIN)}", "train.parquet")
fetch(Repository("dataset", "someone/reviews", "{REVISION}", (pin,)), Path("out"), mirrors=[])
"""
    home = tmp_path / "home"
    led = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": "hf_of_this_test"}
    root = str(Path(__file__).parents[2])
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        # TQDM_POSITION has the client show its bar although stderr is no terminal here
        env=env | led | {"PYTHONPATH": root, "NO_PROXY": "127.0.0.1", "TQDM_POSITION": "-1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "train.parquet").read_bytes() == TRAIN
    assert {s.token for s in hub.seen} == {"Bearer hf_of_this_test"}
    assert "train.parquet" in done.stderr  # the progress bar
    assert list((home / "hub").glob("datasets--someone--reviews/snapshots/*/plain/train.parquet"))


def test_two_processes_at_once_fetch_each_file_once(hub: Hub, tmp_path: Path) -> None:
    hub.files = {at_hub("train"): LONG, at_hub("test"): TEST}
    pins = [
        (f"plain/{name}.parquet", sha(data), f"{name}.parquet")
        for name, data in (("train", LONG), ("test", TEST))
    ]
    code = f"""
from pathlib import Path
from cardproof.data.hub import PinnedFile, Repository, fetch
pins = tuple(PinnedFile(*pin) for pin in {pins!r})
fetch(Repository("dataset", "someone/reviews", "{REVISION}", pins), Path("out/data"), mirrors=[])
"""
    led = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}
    led["PYTHONPATH"] = str(Path(__file__).parents[2])
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_"))}
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=env | led, stderr=PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=PATIENCE)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    made = {p.name: p.read_bytes() for p in (tmp_path / "out/data").iterdir()}
    assert made.keys() == {"train.parquet", "test.parquet", "sums.json"}
    assert (made["train.parquet"], made["test.parquet"]) == (LONG, TEST)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["data"]
    assert hub.gets(at_hub("train")) == hub.gets(at_hub("test")) == [None]  # each once
    assert hub.sent[at_hub("train")] == len(LONG)
