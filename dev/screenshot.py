"""Photograph the sample's report for README.md: `make docs/report.png`.

It needs Chromium or Chrome. The picture carries the checksum that dvc.lock has of the report, so
that a test tells when it is of another one.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from ruamel.yaml import YAML

PICTURE = Path("docs/report.png")
PAGE = Path("report/index.html")
SOURCE = "Source"  # the key in the picture under which the checksum of the report stands
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTH, HEIGHT = 1100, 1240  # of the window, in pixels; README.md shows it somewhat smaller


class ScreenshotError(Exception):
    """No picture can be taken."""


def recorded_checksum(lock: Path) -> str:
    """The checksum of the report in a dvc.lock."""
    outs = YAML(typ="safe").load(lock)["stages"]["report"]["outs"]
    return next(str(out["md5"]) for out in outs if out["path"] == "report")


def checksum_in(picture: Path) -> str:
    """The checksum of the report that a picture was taken of; empty if it carries none."""
    with Image.open(picture) as image:
        image.load()  # text may stand behind the pixels
        return str(image.info.get(SOURCE, ""))


def photograph(page: Path) -> Image.Image:
    """The top of a page as a light desktop shows it.

    Raises:
        ScreenshotError: there is no browser, or it takes no picture.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise ScreenshotError(f"none of {', '.join(BROWSERS)} is installed; install Chromium")
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder) / "page.png"
        command = [
            browser, "--headless", "--disable-gpu", "--hide-scrollbars",
            "--blink-settings=preferredColorScheme=1", f"--window-size={WIDTH},{HEIGHT}",
            f"--user-data-dir={folder}/profile", f"--screenshot={taken}", page.resolve().as_uri(),
        ]  # fmt: skip
        if os.geteuid() == 0:  # as in a container, where Chromium's sandbox refuses to start
            command.insert(1, "--no-sandbox")
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if not taken.is_file():
            raise ScreenshotError(f"{browser} took no picture of {page}: {done.stderr[-500:]}")
        with Image.open(taken) as image:
            return image.convert("RGB")


def main() -> int:
    """Take the picture of the report in the workspace; the exit code."""
    status = subprocess.run(
        ["dvc", "status", "--json", "report"], capture_output=True, text=True, check=True
    )
    if json.loads(status.stdout):
        sys.exit("error: report/ is not the one that dvc.lock records; run `dvc repro` first")
    note = PngInfo()
    note.add_text(SOURCE, recorded_checksum(Path("dvc.lock")))
    try:
        image = photograph(PAGE)
    except (ScreenshotError, subprocess.TimeoutExpired) as error:
        sys.exit(f"error: {error}")
    image.save(PICTURE, optimize=True, pnginfo=note)
    print(f"{PICTURE}, {PICTURE.stat().st_size // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
