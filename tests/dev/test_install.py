"""Setting up: pip's settings handed to uv, and pip itself where uv cannot be had."""

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dev.install import pip_settings, uv_settings
from dev.repository import ROOT, clean_environment


def test_uv_is_told_what_pip_is_told() -> None:
    listed = (
        ":env:.find-links='/wheels'\n"
        "global.cert='/certificates.pem'\n"
        "global.extra-index-url='\\nfile:///a\\nfile:///b'\n"
        "global.find-links='/others /more'\n"
        "global.index-url='https://user:word@one.example/simple'\n"
        "install.index-url='https://two.example/simple'\n"
        "install.trusted-host='two.example'\n"
        "list.format='json'\n"
    )
    options, variables = uv_settings(pip_settings(listed))
    assert options == ["--find-links", "/wheels", "--allow-insecure-host", "two.example"]
    assert variables == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INDEX_URL": "https://two.example/simple",
        "UV_EXTRA_INDEX_URL": "file:///a file:///b",
        "SSL_CERT_FILE": "/certificates.pem",
    }
    assert uv_settings(pip_settings("global.no-index='true'\n"))[0] == ["--no-index"]


def make_wheel(folder: Path) -> str:
    """A package `film` of one module; the line that pins it."""
    wheel, module = folder / "film-1.0-py3-none-any.whl", b"RATING = 7\n"
    metadata = b"Metadata-Version: 2.1\nName: film\nVersion: 1.0\n"
    tags = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {"film.py": module, "film-1.0.dist-info/METADATA": metadata,
             "film-1.0.dist-info/WHEEL": tags}  # fmt: skip
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()},\n"
        for name, data in files.items()
    )
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in (files | {"film-1.0.dist-info/RECORD": record.encode()}).items():
            archive.writestr(name, data)
    return f"film==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


@pytest.mark.slow
def test_without_uv_pip_installs_what_is_pinned_and_says_so(tmp_path: Path) -> None:
    pinned = make_wheel(tmp_path)
    (tmp_path / "pinned.lock").write_text(pinned)
    (tmp_path / "other.lock").write_text(pinned[:-5] + "0000\n")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = str(tmp_path / "venv/bin/python")
    no_uv = clean_environment(
        PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path), PIP_CONFIG_FILE=os.devnull
    )

    def install(name: str) -> subprocess.CompletedProcess[str]:
        command = [python, "-m", "dev.install", str(tmp_path / name)]
        return subprocess.run(
            command, cwd=ROOT, env=no_uv, capture_output=True, text=True, check=False
        )

    refused = install("other.lock")
    assert refused.returncode != 0 and "DO NOT MATCH" in refused.stderr
    done = install("pinned.lock")
    assert done.returncode == 0, done.stderr
    assert "pip installs" in done.stdout
    subprocess.run([python, "-c", "import film; assert film.RATING == 7"], check=True)
