"""Training in several processes: the curve of one process, failures, resuming, two hosts."""

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from cardproof.csv_files import parse_csv
from cardproof.files import checksummed_folder, write_json
from cardproof.model.unpadded.batches import concatenate_rows
from cardproof.recipe.identity import ORIGIN, identity_of_base
from cardproof.recipe.stages import write_stage_recipes
from cardproof.training.distributed.batches import share_of, take_rows
from cardproof.training.distributed.launch import ProcessesError, configure_process, this_process
from tests.conftest import PATIENCE, ROOT
from tests.recipe.files import recipe_of
from tests.training.test_trainer import reviews
from tests.warm import WARM, run_module

TOLERANCE = 1e-4  # of losses, relative: sums are added in another order
Process = subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def calm_base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base without dropout: processes draw masks of their own."""
    folder = tmp_path_factory.mktemp("calm") / "base"
    shutil.copytree(tiny_base, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    names = ("dropout", "attention_dropout", "seq_classif_dropout")
    path.write_text(json.dumps(config | dict.fromkeys(names, 0.0)))
    return folder


def workplace(folder: Path, base: Path, **train: object) -> Path:
    """What the training stage reads: 41 reviews are five batches of 8 and a last one of 1."""
    folder.mkdir(parents=True)
    with checksummed_folder(folder / "data/base") as made:
        shutil.copytree(base, made, dirs_exist_ok=True)
    with checksummed_folder(folder / "data/tokens") as made:
        reviews(base, made / "train", 41, 1)
        reviews(base, made / "validation", 17, 2)
        write_json(made / ORIGIN, {"base": identity_of_base(folder / "data/base")})
    train = {"logging_steps": 2, "seed": 7, "learning_rate": 3e-3} | train
    overrides = {f"train__{key}": value for key, value in train.items()}
    recipe = recipe_of("sample", evaluate__batch_size=8, **overrides)
    write_stage_recipes(recipe, folder / "data/recipe")
    return folder


def start(folder: Path, *prefix: str, **environment: str) -> Process:
    """Start the stage as DVC does."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PET_", "DVC_"))}
    inherited |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "stages.train"],
            cwd=folder, env=inherited, stdout=log, stderr=log,
        )  # fmt: skip


def train(folder: Path) -> str:
    """Run the stage to its good end; what it said."""
    code = start(folder).wait(PATIENCE)
    said = (folder / "log").read_text()
    assert code == 0, said[-3000:]
    return said


def train_warm(*folders: Path) -> list[int | None]:
    """Run the stage in one process for each folder, as torchrun would; their exit codes."""
    common = {"WORLD_SIZE": str(len(folders)), "GROUP_RANK": "0", "GROUP_WORLD_SIZE": "1",
              "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
              "TORCHELASTIC_RUN_ID": "warm", "OMP_NUM_THREADS": "1"}  # fmt: skip
    processes = [
        WARM.Process(
            target=run_module,
            args=("stages.train",),
            kwargs={
                "cwd": folder,
                "log": folder / "log",
                "environment": common | {"RANK": str(i), "LOCAL_RANK": str(i)},
            },
        )
        for i, folder in enumerate(folders)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    return [process.exitcode for process in processes]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def check_same_curve(one: Path, other: Path) -> None:
    """Both tables agree, and so do the weights."""
    for name in ("training_curve", "epochs"):
        rows, others = (parse_csv((f / f"plots/{name}.csv").read_text()) for f in (one, other))
        assert len(rows) == len(others)
        for row, same in zip(rows, others, strict=True):
            ours, theirs = (
                {k: math.nan if v is None else v for k, v in r.items()} for r in (row, same)
            )
            assert theirs == pytest.approx(ours, rel=TOLERANCE, nan_ok=True), name
    figures = [json.loads((f / "metrics/train.json").read_text()) for f in (one, other)]
    assert figures[0] == figures[1]


@pytest.fixture(scope="module")
def alone(calm_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process."""
    folder = workplace(tmp_path_factory.mktemp("alone") / "run", calm_base)
    assert train_warm(folder) == [0], (folder / "log").read_text()
    return folder


def test_two_processes_give_the_curve_of_one(alone: Path, calm_base: Path, tmp_path: Path) -> None:
    # The last batch has one row: one of the processes has none, and still takes part.
    two = workplace(tmp_path / "two", calm_base, processes=2)
    assert train_warm(two, two) == [0, 0], (two / "log").read_text()
    assert (two / "log").read_text().count("padding-free") == 1  # only rank 0 prints
    check_same_curve(alone, two)
    reason = json.loads((two / "model/training.json").read_text())["reason"]
    assert reason.endswith("2 processes shared each batch")
    assert len(list((two / ".dvc/tmp/cardproof").glob("*/finished"))) == 1


@pytest.mark.parametrize("rows", [1, 2, 5, 8])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_shares_of_a_batch_are_its_rows(rows: int, count: int) -> None:
    lengths = np.random.default_rng(rows).integers(1, 9, rows)
    reviews_ = [np.arange(n) + 10 * i for i, n in enumerate(lengths)]
    unpadded, padded = (
        concatenate_rows(reviews_),
        {"input_ids": torch.arange(rows * 3).view(rows, 3)},
    )
    shares = [share_of(rows, rank, count) for rank in range(count)]
    assert [i for share in shares for i in range(rows)[share]] == list(range(rows))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1
    for share in [s for s in shares if s.stop > s.start]:
        for name, tensor in concatenate_rows(reviews_[share]).items():
            assert torch.equal(take_rows(unpadded, share)[name], tensor)
        assert torch.equal(take_rows(padded, share)["input_ids"], padded["input_ids"][share])


# Losses are summed over four steps: a checkpoint falls within such a sum.
LONG = {"epochs": 20, "processes": 2, "logging_steps": 200}


@pytest.fixture(scope="module")
def pair(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A longer run of two processes, with dropout."""
    folder = workplace(tmp_path_factory.mktemp("pair") / "run", tiny_base, **LONG)
    assert train_warm(folder, folder) == [0, 0], (folder / "log").read_text()
    return folder


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def saved_steps(folder: Path) -> int:
    """The step of the newest whole checkpoint; 0 without one."""
    found = folder.glob(".dvc/tmp/cardproof/*/checkpoint-*/sums.json")
    return max((int(path.parent.name.partition("-")[2]) for path in found), default=0)


def workers(folder: Path) -> dict[int, int]:
    """The training processes that work in a folder: their numbers and process ids."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environment = (entry / "environ").read_bytes().split(b"\0")
            rank = [e for e in environment if e.startswith(b"RANK=")]
            if rank and (entry / "cwd").readlink() == folder:
                found[int(rank[0][5:])] = int(entry.name)
    return found


def test_killed_interrupted_and_resumed(pair: Path, tiny_base: Path, tmp_path: Path) -> None:
    folder = workplace(tmp_path / "killed", tiny_base, **LONG)
    log = folder / "log"

    gone = start(folder)
    wait_for(lambda: saved_steps(folder) > 0)
    gone.kill()
    gone.wait(PATIENCE)
    wait_for(lambda: not workers(folder))

    before = saved_steps(folder)
    interrupted = start(folder)
    wait_for(lambda: saved_steps(folder) > before)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(PATIENCE) == 130
    assert "`dvc repro` resumes from" in log.read_text()

    train(folder)
    assert log.read_text().count("resuming from checkpoint-") == 2
    for name in ("plots/training_curve.csv", "plots/epochs.csv", "model/model.safetensors"):
        assert (folder / name).read_bytes() == (pair / name).read_bytes(), name


@dataclass(frozen=True)
class Host:
    """What starts a command on one of two hosts, and what the environment says there."""

    prefix: tuple[str, ...]
    environment: dict[str, str]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    """Two network namespaces with a wire between them; without the right to that, loopback."""
    names = [f"cp{os.getpid()}{side}" for side in "ab"]
    wires: list[tuple[tuple[str, ...], str]] = [((), "lo")] * 2
    common = {"PET_NNODES": "2", "PET_MASTER_PORT": str(free_port())}
    try:
        try:
            for name in names:
                ip("netns", "add", name)
            ip("link", "add", names[0], "type", "veth", "peer", "name", names[1])
            for i, name in enumerate(names):
                ip("link", "set", name, "netns", name)
                ip("-n", name, "address", "add", f"10.213.77.{i + 1}/24", "dev", name)
                ip("-n", name, "link", "set", name, "up")
                ip("-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.SubprocessError):
            address = "127.0.0.1"
        else:
            wires, address = [(("ip", "netns", "exec", n), n) for n in names], "10.213.77.1"
        yield [
            Host(prefix, common | {"PET_MASTER_ADDR": address, "PET_NODE_RANK": str(i),
                                   "GLOO_SOCKET_IFNAME": wire})
            for i, (prefix, wire) in enumerate(wires)
        ]  # fmt: skip
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def test_two_hosts(hosts: list[Host], pair: Path, tiny_base: Path, tmp_path: Path) -> None:
    folders = [workplace(tmp_path / f"host{i}", tiny_base, **LONG) for i in range(2)]

    def start_both() -> list[Process]:
        return [start(f, *h.prefix, **h.environment) for f, h in zip(folders, hosts, strict=True)]

    cut = start_both()
    wait_for(lambda: min(map(saved_steps, folders)) > 0)
    os.kill(workers(folders[1])[1], signal.SIGKILL)
    assert [process.wait(PATIENCE) for process in cut] == [1, 1]
    assert "process 1 of 2 was ended by SIGKILL" in (folders[1] / "log").read_text()
    assert not any(map(workers, folders))

    codes = [process.wait(PATIENCE) for process in start_both()]
    said = (folders[0] / "log").read_text()
    assert codes == [0, 0], said[-3000:]
    assert "resuming from checkpoint-" in said
    check_same_curve(pair, folders[0])
    assert not (folders[1] / "model").exists()
    assert not (folders[1] / "plots").exists()


@pytest.mark.slow
def test_processes_that_are_set_up_differently_are_an_error(
    tiny_base: Path, tmp_path: Path
) -> None:
    folders = [workplace(tmp_path / f"{i}", tiny_base, **LONG, warmup_steps=i) for i in range(2)]
    assert train_warm(*folders) == [1, 1]
    assert "error: the hosts are not set up alike" in (folders[0] / "log").read_text()
    assert not saved_steps(folders[0])


@pytest.mark.slow
def test_hosts_that_do_not_meet_are_an_error(tiny_base: Path, tmp_path: Path) -> None:
    folder = workplace(tmp_path / "lonely", tiny_base, **LONG)
    lonely = {"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "127.0.0.1"}
    process = start(folder, **lonely, PET_MASTER_PORT="9", PET_RDZV_CONF="timeout=2")
    assert process.wait(PATIENCE) == 1
    assert "error: the hosts did not find each other" in (folder / "log").read_text()


def test_processes_started_by_hand_must_be_as_many_as_the_recipe_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "GROUP_RANK": "0"}
    said |= {"GROUP_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "x"}
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    process = this_process()
    assert (process.rank, process.count) == (1, 4)
    with pytest.raises(ProcessesError, match=r"4 processes .* train\.processes is 2"):
        configure_process(process, 2)
