"""A hub on loopback for the tests of this room."""

import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.data.loopback import Handler, Hub, lead_client_to


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Iterator[Hub]:
    """A hub on loopback that the client in this process is led to; its pauses are not waited."""

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


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds the client would have slept between tries: up to 23 for one request."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept
