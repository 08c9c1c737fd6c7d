"""Install what a lock file pins into this interpreter's environment: by uv, or else by pip.

    python -m dev.install requirements.lock

uv takes seconds where pip takes minutes. It comes by pip and is told pip's own settings (indexes,
links, certificates), which it does not read itself. Where it fails, pip does the same, more slowly.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

UV = "uv==0.13.9"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
LOCKED = ("--no-deps", "--require-hashes", "--requirement")
SECTIONS = ("global", "install", ":env:")  # of pip's settings, a later one first
STARTED = Path(sys.prefix) / ".uv-started"  # is there while uv works, and after it was killed


def main(lock: str) -> None:
    """Install the pinned packages of a lock file that are not there yet."""
    if _install_by_uv(lock):
        return
    print("uv cannot be used here (see above): pip installs, which takes minutes", flush=True)
    subprocess.run([*PIP, "install", "--quiet", *LOCKED, lock], check=True)


def _install_by_uv(lock: str) -> bool:
    """Whether uv could be had and installed all."""
    if subprocess.run([*PIP, "install", "--quiet", "--no-compile", UV], check=False).returncode:
        return False
    listed = subprocess.run([*PIP, "config", "list"], check=True, capture_output=True, text=True)
    options, variables = uv_settings(pip_settings(listed.stdout))
    # A package that uv was killed in may lack files, but would pass for installed.
    again = ["--reinstall"] if STARTED.exists() else []
    STARTED.touch()
    done = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable,
         *options, *again, *LOCKED, lock],
        env={**variables, **os.environ}, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        STARTED.unlink()
    return done.returncode == 0


def pip_settings(listed: str) -> dict[str, str]:
    """What `pip config list` printed, by option, as `pip install` takes it."""
    found = re.findall(r"^(global|install|:env:)\.([\w-]+)=(.*)$", listed, re.MULTILINE)
    found.sort(key=lambda setting: SECTIONS.index(setting[0]))
    return {option: ast.literal_eval(value) for _, option, value in found}


def uv_settings(pip: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The same settings as uv's options and environment: addresses may hold passwords."""
    variables = {
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # all indexes count alike, as for pip
        "UV_INDEX_URL": pip.get("index-url", ""),
        "UV_EXTRA_INDEX_URL": " ".join(pip.get("extra-index-url", "").split()),
        "SSL_CERT_FILE": pip.get("cert", ""),
        "SSL_CLIENT_CERT": pip.get("client-cert", ""),
        "ALL_PROXY": pip.get("proxy", ""),
    }
    options = [
        word for link in pip.get("find-links", "").split() for word in ("--find-links", link)
    ]
    for host in pip.get("trusted-host", "").split():
        options += ["--allow-insecure-host", host]
    if pip.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        options.append("--no-index")
    return options, {name: value for name, value in variables.items() if value}


if __name__ == "__main__":
    main(sys.argv[1])
