"""Shared fixtures: copies of this repository, tiny checkpoints, and the real files if at hand."""

import gc
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from filelock import FileLock
from hypothesis import settings

from dev.repository import ROOT as ROOT  # noqa: PLC0414 - tests take it from here
from dev.repository import clean_environment, commit_all, copy_files

SHARED = ROOT.parent / "shared"

# The same examples every time: a commit that passed passes again. `--hypothesis-profile=default`
# looks for others.
settings.register_profile("suite", derandomize=True)
settings.load_profile("suite")

# Seconds, against a command that hangs: a slow, busy machine may take minutes for any of them.
PATIENCE = 1500.0

# What these fixtures make takes many seconds: so do the tests that begin with it.
SLOW_FIXTURES = {
    "alone",
    "bench",
    "compared_runs",
    "hosts",
    "kept",
    "pair",
    "queue",
    "team",
    "tiny",
}

Run = Callable[..., subprocess.CompletedProcess[str]]

# What `finished` sets in params.yaml.
SHORTENED = {"data": {"limit": 200}, "train": {"max_steps": 12}}

# Each stage's command in turn. One process: torch and transformers are imported once.
ALL_STAGES = """
import runpy, sys
for stage in ("download", "split", "tokenize", "train", "evaluate", "report"):
    sys.argv = [f"stages.{stage}"]
    runpy.run_module(f"stages.{stage}", run_name="__main__")
"""

# The modules that take longest begin first: at the end no worker is left alone with one of them.
LONGEST = ("cards_in_miniature", "traffic", "faults", "pipeline", "add", "distributed", "share",
           "compare", "benchmarks", "checkpointing")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow; sort by module as `LONGEST` has them, the others keep their order."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_collection_finish() -> None:
    """Keep what was imported out of the full garbage collection that each training begins with."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def mirror() -> Path:
    """A mirror of the hub with the real reviews; tests that need it skip where it is absent."""
    folder = SHARED / "hub"
    if not folder.is_dir():
        pytest.skip(f"needs the real reviews in a mirror at ../{SHARED.name}/hub")
    return folder


@pytest.fixture(scope="session")
def make_repository(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A function that makes a fresh copy of this repository, with a Git history and DVC."""

    def make() -> Path:
        return commit_all(copy_files(tmp_path_factory.mktemp("repository")))

    return make


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a command with this interpreter's programs first, offline; no check of its exit code."""

    def run_command(
        *command: str, cwd: Path, mirror: Path | None = None, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        environment = clean_environment()
        if mirror:
            environment["CARDPROOF_MIRROR"] = str(mirror)
        # Files, not pipes: a queue's worker lives on and would keep a pipe open.
        with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
            done = subprocess.run(
                command,
                cwd=cwd,
                env=environment,
                stdout=out,
                stderr=err,
                timeout=timeout,
                check=False,
            )
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, out.read(), err.read())

    return run_command


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, make_repository: Callable[[], Path], run: Run
) -> Path:
    """A copy of this repository in which `dvc repro` has run, on a shortened sample; to be read.

    One for all workers of a session: the first that needs it makes it, the others wait.
    """
    from dev.faults.copies import edit_params

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with FileLock(shared / "finished.lock"):
        if not (shared / "finished").is_dir():
            made = make_repository()
            edit_params(made, SHORTENED)
            done = run("dvc", "repro", cwd=made)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            made.rename(shared / "finished")
    return shared / "finished"


@pytest.fixture(scope="module")
def repository(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished repository for the tests of a module."""
    folder = tmp_path_factory.mktemp("module") / "repository"
    return Path(shutil.copytree(finished, folder, symlinks=True))


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DistilBERT of 32 dimensions with random weights, in the hub's format, vocab.txt only."""
    import string

    from transformers import DistilBertConfig, DistilBertForMaskedLM, set_seed

    folder = tmp_path_factory.mktemp("tiny-base")
    letters = string.ascii_lowercase + string.digits + string.punctuation
    words = ["good", "bad", "film", "plot", "not", "but", "the", "a", "was", "very"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters]
    pieces += [f"##{letter}" for letter in letters]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    set_seed(0)
    config = DistilBertConfig(
        vocab_size=len(pieces), dim=32, n_layers=2, n_heads=2, hidden_dim=64,
        max_position_embeddings=128, initializer_range=0.2,
    )  # fmt: skip
    DistilBertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A target folder with an earlier content."""
    target = tmp_path / "out" / "data"
    target.mkdir(parents=True)
    (target / "old.txt").write_text("old")
    return target


def assert_untouched(folder: Path) -> None:
    """It has its earlier content, and nothing was left beside it."""
    assert [(p.name, p.read_text()) for p in folder.iterdir()] == [("old.txt", "old")]
    assert list(folder.parent.iterdir()) == [folder]
