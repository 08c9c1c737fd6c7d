"""Receives a file from a hub so that every byte counts, however often the connection breaks.

The hub's own client writes blocks of 10 MiB and loses the block in which a connection breaks: from
a hub that cuts earlier it never gets a byte further. Here what comes is written as it comes, the
next connection resumes there, and no more is written than the file's announced size.
"""

import re
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cardproof.errors import CardproofError

if TYPE_CHECKING:
    import httpx2
    from tqdm import tqdm

IDLE_TRIES = 6  # connections in a row that bring next to nothing, before the hub is given up
NEXT_TO_NOTHING = 1 << 16  # bytes: by less than that a model would take thousands of connections
LONGEST_PAUSE = 120  # seconds: a hub that asks for a longer one is given up
RANGE_NOT_SATISFIABLE = 416


class SourceError(CardproofError):
    """A pinned file that cannot be had, or is not what was pinned."""


def check_announced(url: str, size: int | None, room: int) -> int:
    """The number of bytes that a hub announces for a file, if it can be received.

    Args:
        url: of the file.
        size: what is announced, if anything.
        room: bytes that are free on the disk.

    Raises:
        SourceError: no length, or one that no file has.
    """
    from huggingface_hub import constants

    if size is None:
        raise SourceError(f"{url}: no length is announced, as no hub does; check HF_ENDPOINT")
    if not 0 <= size <= constants.MAX_HTTP_DOWNLOAD_SIZE:
        raise SourceError(
            f"{url}: {size:,} bytes are announced, and a hub sends at most "
            f"{constants.MAX_HTTP_DOWNLOAD_SIZE:,} so; check HF_ENDPOINT"
        )
    if size > room:
        raise SourceError(f"{url}: {size:,} bytes are announced, and {room:,} are free; make room")
    return size


def client_with_bounded_pauses() -> "httpx2.Client":
    """The hub's client, but for pauses: that would sleep for as long as a hub asks it to."""
    from huggingface_hub.utils._http import default_client_factory

    client = default_client_factory()
    client.event_hooks["response"].append(_refuse_long_pause)
    return client


def _refuse_long_pause(response: "httpx2.Response") -> None:
    """Raise an error that is not retried if a refusal asks for more than `LONGEST_PAUSE`."""
    import httpx2
    from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]  # public, unmarked

    limit = parse_ratelimit_headers(response.headers)
    asked = response.headers.get("Retry-After", "").strip()
    pause = max(int(asked) if asked.isdecimal() else 0, limit.reset_in_seconds if limit else 0)
    if response.is_error and pause > LONGEST_PAUSE:
        raise httpx2.HTTPStatusError(
            f"HTTP {response.status_code}, which asks for a pause of {pause:,} s; at most "
            f"{LONGEST_PAUSE} s are waited, try again later",
            request=response.request,
            response=response,
        )


def receive(url: str, part: Path, size: int, name: str) -> None:
    """Append to a partial file what it lacks, over as many connections as it takes.

    Args:
        url: of the file.
        part: the partial file; made if it is not there.
        size: of the whole file, as announced: not a byte more is written.
        name: to show at the bar.

    Raises:
        httpx2.TransportError: `IDLE_TRIES` connections in a row broke; what came is kept.
        httpx2.HTTPStatusError: the hub refuses; after 416 the partial file is empty.
        SourceError: the hub sends the file in compressed form, or from another place in it.
        OSError: the disk is full or not writable.
    """
    import httpx2
    from huggingface_hub.utils import tqdm as hub_bar  # type: ignore[attr-defined]  # hidden where the hub's own bars are

    with part.open("ab") as stream:
        if stream.tell() >= size:
            stream.truncate(0)  # as long as the file and not the file: nothing to resume
        idle = 0
        done = stream.seek(0, 2)
        with hub_bar(total=size, initial=done, desc=name, unit="B", unit_scale=True) as bar:  # type: ignore[no-untyped-call]
            while True:
                before = stream.tell()
                try:
                    _append(url, stream, size, bar)
                    return
                except httpx2.TransportError:
                    idle = 0 if stream.tell() >= before + NEXT_TO_NOTHING else idle + 1
                    if idle == IDLE_TRIES:
                        raise
                time.sleep(1 if idle else 0.1)


def _append(url: str, stream: IO[bytes], size: int, bar: "tqdm[Any]") -> None:
    """Append what one connection brings."""
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # public, unmarked
        build_hf_headers,
        hf_raise_for_status,
        http_stream_backoff,
    )

    start = stream.tell()
    # Compressed, offsets into the file and into what is sent would not be the same.
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with http_stream_backoff(
        "GET",
        url,
        headers=headers,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        retry_on_exceptions=(),
        retry_on_status_codes=(408, 429),
    ) as response:
        if response.status_code == RANGE_NOT_SATISFIABLE:
            stream.truncate(0)
        hf_raise_for_status(response)
        if start and response.status_code == 200:  # all of it, from the beginning
            stream.truncate(0)
            bar.update(-start)
            start = 0
        _check_part(url, response, start)
        for data in response.iter_raw():
            missing = size - stream.tell()
            stream.write(data[:missing])
            stream.flush()
            bar.update(min(len(data), missing))
            if len(data) > missing:  # a hub could send without end
                return


def _check_part(url: str, response: "httpx2.Response", start: int) -> None:
    """Refuse a body whose bytes are not those of the file from `start` on."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise SourceError(
            f"{url}: sent in compressed form ({coding[:40]!r}) though that was not asked for, so "
            "that nothing can be resumed; check HF_ENDPOINT, and what stands between (a proxy)"
        )
    said = response.headers.get("Content-Range", "")
    if start and not re.match(rf"bytes {start}-", said):
        raise SourceError(
            f"{url}: asked for the bytes from {start:,} on, the hub sends {said[:40]!r}; check "
            "HF_ENDPOINT, and what stands between (a proxy)"
        )
