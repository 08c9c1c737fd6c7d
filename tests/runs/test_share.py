"""Sharing results: a second clone gets everything through a DVC remote and computes nothing."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PATIENCE, Run

STAGES = 6


def must(run: Run, *command: str, cwd: Path) -> str:
    """Run a command that has to succeed; what it said."""
    done = run(*command, cwd=cwd, timeout=PATIENCE)
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(command)}:\n{said[-3000:]}"
    return said


@pytest.fixture(scope="module")
def team(finished: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare Git repository; `first`, a clone that ran and committed the pipeline in miniature.

    It also ran an experiment with another seed.
    """
    folder = tmp_path_factory.mktemp("team")
    first = Path(shutil.copytree(finished, folder / "first", symlinks=True))
    must(run, "git", "add", "--all", cwd=first)
    must(run, "git", "commit", "--quiet", "--message", "results in miniature", cwd=first)
    must(run, "git", "clone", "--quiet", "--bare", "first", "bare.git", cwd=folder)
    must(run, "git", "remote", "add", "origin", "../bare.git", cwd=first)
    said = must(run, "dvc", "exp", "run", "-S", "train.seed=7", "--name", "seed-7", cwd=first)
    assert "Running stage 'train'" in said
    must(run, "git", "checkout", "--quiet", ".", cwd=first)
    must(run, "dvc", "checkout", "--quiet", cwd=first)
    return folder


def use_remote(run: Run, folder: Path, url: str, **options: str) -> None:
    """Make `url` the default DVC remote of a clone."""
    must(run, "dvc", "remote", "add", "--local", "--default", "--force", "team", url, cwd=folder)
    for name, value in options.items():
        must(run, "dvc", "remote", "modify", "--local", "team", name, value, cwd=folder)


def second_clone_computes_nothing(
    run: Run, team: Path, second: Path, url: str, **options: str
) -> None:
    """Share from the first clone; reproduce in a fresh second one."""
    first = team / "first"
    use_remote(run, first, url, **options)
    must(run, "dvc", "push", "--run-cache", cwd=first)
    must(run, "git", "clone", "--quiet", str(team / "bare.git"), str(second), cwd=team)
    use_remote(run, second, url, **options)
    must(run, "dvc", "pull", "--run-cache", cwd=second)
    said = must(run, "dvc", "repro", cwd=second)
    assert "Running stage" not in said
    assert said.count("didn't change, skipping") == STAGES
    for name in ("dvc.lock", "report/index.html", "model/model.safetensors", "metrics/train.json"):
        assert (second / name).read_bytes() == (first / name).read_bytes(), name
    assert must(run, "git", "status", "--short", cwd=second) == ""


def test_through_a_folder(team: Path, tmp_path: Path, run: Run) -> None:
    first, second = team / "first", tmp_path / "second"
    second_clone_computes_nothing(run, team, second, str(tmp_path / "store"))

    # A run that the first clone never committed comes out of the run cache.
    said = must(run, "python", "-m", "cardproof", "share", cwd=first)
    assert "runs are in the remote" in said
    must(run, "dvc", "pull", "--run-cache", cwd=second)
    said = must(run, "dvc", "exp", "run", "--pull", "-S", "train.seed=7", cwd=second)
    # Outputs that persist are in no run cache. What this stage fetches is there, so it is quick.
    assert re.findall("Running stage '(.+)'", said) == ["download"]
    for stage in ("train", "evaluate", "report"):
        assert f"Stage '{stage}' is cached - skipping run" in said
    revision = must(run, "dvc", "exp", "list", "--sha-only", cwd=first).split()[-1]
    lock = must(run, "git", "show", f"{revision}:dvc.lock", cwd=first)
    assert (second / "dvc.lock").read_text() == lock


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server on loopback that holds a bucket named `team`."""
    pytest.importorskip("dvc_s3", reason="needs dvc[s3]")
    moto = pytest.importorskip("moto.server", reason="needs moto[s3], flask and flask-cors")
    boto3 = pytest.importorskip("boto3", reason="needs boto3")
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-a-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket="team")
        yield address
    finally:
        server.stop()


def test_through_s3(team: Path, tmp_path: Path, run: Run, s3: str) -> None:
    second_clone_computes_nothing(
        run, team, tmp_path / "second", "s3://team/cardproof", endpointurl=s3
    )


def test_an_experiment_goes_through_git_and_the_remote(
    team: Path, tmp_path: Path, run: Run
) -> None:
    first, second = team / "first", tmp_path / "second"
    use_remote(run, first, str(tmp_path / "store"))
    must(run, "dvc", "push", cwd=first)
    must(run, "dvc", "exp", "push", "origin", "seed-7", cwd=first)
    must(run, "git", "clone", "--quiet", str(team / "bare.git"), str(second), cwd=team)
    use_remote(run, second, str(tmp_path / "store"))
    assert "seed-7" in must(run, "dvc", "exp", "list", "origin", cwd=second)
    must(run, "dvc", "exp", "pull", "origin", "seed-7", cwd=second)
    must(run, "dvc", "exp", "apply", "seed-7", cwd=second)
    must(run, "dvc", "pull", cwd=second)
    said = must(run, "dvc", "repro", cwd=second)
    assert "Running stage" not in said
    assert "seed: 7" in (second / "params.yaml").read_text()


def test_without_a_remote_the_error_says_so(team: Path, run: Run) -> None:
    done = run("python", "-m", "cardproof", "share", "nowhere", cwd=team / "first")
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
