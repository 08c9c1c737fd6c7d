"""Copies of this repository to run, time and damage the pipeline in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy_files(folder: Path, skip: tuple[str, ...] = ()) -> Path:
    """Copy what Git tracks or would track into `folder`, but for paths that begin with `skip`."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(skip):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def commit_all(folder: Path) -> Path:
    """Make a Git repository of a folder, with all its files in one commit."""
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "copy"]):
        subprocess.run(["git", *words], cwd=folder, env=clean_environment(), check=True)
    return folder


def clean_environment(**extra: str) -> dict[str, str]:
    """For commands in a copy: offline, this interpreter's programs first, settings left behind."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "CARDPROOF_"))}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    kept |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true", "PYTHONUNBUFFERED": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        kept |= {f"GIT_{role}_NAME": "copy", f"GIT_{role}_EMAIL": "copy@example.org"}
    return kept | extra
