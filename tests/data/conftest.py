"""A hub on loopback for the tests of this package."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.loopback import Hub, serving


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Iterator[Hub]:
    """A hub on loopback that the client in this process is led to; its pauses are not waited."""
    with serving() as hub:
        lead_client_to(hub.url, tmp_path, monkeypatch)
        yield hub


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds the client would have slept between tries: up to 23 for one request."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


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
