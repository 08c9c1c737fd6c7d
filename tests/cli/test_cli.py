"""The `cardproof` command: what it imports, what it says, and what its package holds."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from cardproof import __version__
from cardproof.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

CARD = """\
---
base_model: distilbert-base-uncased
datasets: [imdb]
---
# a card
- learning_rate: 2e-05
- train_batch_size: 16
- num_epochs: 2

| Training Loss | Epoch | Step | Validation Loss | Accuracy |
|---|---|---|---|---|
| 0.2244 | 1.0 | 1563 | 0.2 | 0.92 |
| 0.1533 | 2.0 | 3126 | 0.25 | 0.9256 |
"""

# A light installation: of what is not in it, nothing can be imported.
LIGHT = """
import sys
heavy = ("accelerate", "datasets", "dvc", "jinja2", "matplotlib", "pandas", "pyarrow",
         "safetensors", "scipy", "sklearn", "tokenizers", "torch", "transformers")

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in heavy:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from cardproof.cli import main
sys.exit(main())
"""


def light(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `cardproof` where only its light dependencies are installed."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{LIGHT}"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A model card in an empty folder."""
    path = tmp_path / "README.md"
    path.write_text(CARD, encoding="utf-8")
    return path


def test_audit_needs_none_of_the_pipeline_s_packages(card: Path) -> None:
    done = light("audit", str(card))
    assert done.returncode == 0, done.stderr
    assert "training-rows" in done.stdout


def test_add_needs_none_of_the_pipeline_s_packages(card: Path) -> None:
    done = light("add", str(card), "--name", "mine", "--out", str(card.parent))
    assert (card.parent / "mine.yaml").is_file(), done.stderr


@pytest.mark.parametrize("command", ["compare", "verify", "share"])
def test_what_a_light_installation_cannot_do_says_which_extra_to_install(
    command: str, card: Path
) -> None:
    done = light(command, cwd=card.parent)
    assert done.returncode == 2
    assert f"`cardproof {command}` needs the package dvc" in done.stderr
    assert "pip install '.[run]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples_at_once(command: str) -> None:
    done = light(command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"examples:\n  cardproof {command}" in done.stdout


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 0
    told = capsys.readouterr().out
    assert all(f"\n  {name}" in told and f"cardproof {name}" in told for name in COMMANDS)


def test_an_unknown_command_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["adit"])
    assert stopped.value.code == 2
    assert (
        "'audit', 'add', 'check', 'plan', 'compare', 'verify', 'share'" in capsys.readouterr().err
    )


def test_python_m_is_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cardproof", "--version"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"cardproof {__version__}\n"


def test_a_reader_that_stops_reading_is_no_error(card: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cardproof", "audit", str(card)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as audit:  # fmt: skip
        assert audit.stdout is not None and audit.stderr is not None
        audit.stdout.close()
        assert audit.stderr.read() == b""
    assert audit.returncode == 141


# ------------------------------------------------------------------ the package and the locks


def test_the_wheel_holds_the_package_s_files_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
         "cardproof", "pyproject.toml", "README.md", "LICENSE"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    names = [name for name in listed if name and (ROOT / name).is_file()]
    for name in [*names, "stages/__init__.py", "dev/__init__.py", "tests/__init__.py"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", "wheel", "."],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    assert wheel.name.startswith(f"cardproof-{__version__}-")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == {name for name in names if name.startswith("cardproof/")}


def locked(name: str) -> dict[str, set[str]]:
    """The versions of each package that a lock file pins, for whatever platform."""
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([^\s=#]+)==(\S+)", (ROOT / name).read_text(), re.M):
        versions.setdefault(package, set()).add(version)
    return versions


def test_the_locks_agree_are_complete_and_name_no_index() -> None:
    runs, develops = locked("requirements.lock"), locked("requirements-dev.lock")
    assert all(versions <= runs.get(name, versions) for name, versions in develops.items())
    extras = PYPROJECT["project"]["optional-dependencies"]
    for wanted, there in (
        ([*PYPROJECT["project"]["dependencies"], *extras["run"]], runs),
        (PYPROJECT["dependency-groups"]["dev"], runs | develops),
    ):
        names = {re.match(r"[\w-]+", one)[0] for one in wanted}  # type: ignore[index]
        assert names - there.keys() <= {"torch"}  # it has a line of its own in the Makefile
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text and "--index" not in text
        pins = len(re.findall("^[^ #]", text, re.M))
        assert len(re.findall(r"\\\n    --hash=sha256:[0-9a-f]{64}", text)) >= pins
    assert not develops.keys() & {"torch", "transformers", "dvc", "numpy"}
    assert not runs.keys() & {"ruff", "mypy", "pytest", "hypothesis", "moto"}
