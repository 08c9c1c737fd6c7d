"""The picture in README.md: it is of the report that dvc.lock records."""

import subprocess
from pathlib import Path

import pytest

from dev.repository import ROOT
from dev.screenshot import (
    BROWSERS,
    PICTURE,
    ScreenshotError,
    checksum_in,
    photograph,
    recorded_checksum,
)


def test_the_picture_is_of_the_report_that_is_committed(tmp_path: Path) -> None:
    """Not of the workspace's: on another machine or Python a run's report has other bytes."""
    lock = tmp_path / "dvc.lock"
    lock.write_bytes(subprocess.check_output(["git", "show", "HEAD:dvc.lock"], cwd=ROOT))
    stale = "docs/report.png is of another report; run `dvc repro`, then `make docs/report.png`"
    assert checksum_in(ROOT / PICTURE) == recorded_checksum(lock), stale


def test_without_a_browser_it_says_which_one_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ScreenshotError, match=r"none of chromium, .* is installed"):
        photograph(tmp_path / "page.html")
    taker = tmp_path / BROWSERS[0]
    taker.write_text("#!/bin/sh\necho no display >&2\n")
    taker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ScreenshotError, match=r"took no picture of .*: no display"):
        photograph(tmp_path / "page.html")
