"""Nothing is fetched twice: the bytes that a hub on loopback sends, counted.

    python -m pytest -s tests/data/test_traffic.py

prints them. The files are made up and small.
"""

import io
import os
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from cardproof.data.hub import PinnedFile, Repository, fetch
from dev.loopback import REVISION, Hub, sha
from tests.conftest import PATIENCE

CARDS = ("grojeda", "deepaxion", "template", "llm_project", "hansaht")  # on imdb and two bases
MIB = 1 << 20
SIZES = {"train": 210_000, "test": 205_000, "model.safetensors": 2_680_000}


def show(hub: Hub, title: str) -> None:
    rows = [
        f"{path.split('/resolve/')[0].split('/')[-1] + '/' + path.split('/')[-1]:<72}"
        f"{len(data):>12,}{hub.sent[path]:>12,}{len(hub.gets(path)):>6}"
        for path, data in hub.files.items()
    ]
    size, sent = sum(map(len, hub.files.values())), sum(hub.sent[path] for path in hub.files)
    total = f"{'all':<72}{size:>12,}{sent:>12,}{sum(len(hub.gets(p)) for p in hub.files):>6}"
    print("", title, f"{'file':<72}{'bytes':>12}{'sent':>12}{'GETs':>6}", *rows, total, sep="\n")


def as_reviews(data: bytes) -> bytes:
    """A parquet file of two reviews that takes about as many bytes."""
    half = len(data) // 4
    texts = [data[:half].hex(), data[half : 2 * half].hex()]
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": texts, "label": [0, 1]}), sink, compression="none")
    return sink.getvalue()


def fill(hub: Hub, sources: Any) -> None:
    """Have the hub serve made-up files for imdb and the cards' bases, and pin them."""

    def serve(prefix: str, entry: Any, path: str, name: str) -> str:
        entry["revision"] = REVISION
        data = random.Random(path).randbytes(SIZES.get(name, 1_000))
        if path.endswith(".parquet"):
            data = as_reviews(data)
        hub.files[f"{prefix}/{entry['repository']}/resolve/{REVISION}/{path}"] = data
        return sha(data)

    reviews = sources["reviews"]["imdb"]
    for split in ("train", "test"):
        reviews[split]["sha256"] = serve("/datasets", reviews, reviews[split]["path"], split)
    for name in ("distilbert", "distilbert-sst2"):
        base = sources["bases"][name]
        for path in base["files"]:
            base["files"][path] = serve("", base, path, path)


@pytest.fixture
def queue(make_repository: Callable[[], Path], hub: Hub) -> Path:
    """A repository whose reviews and bases are what the hub has."""
    folder = make_repository()
    yaml = YAML()
    sources = yaml.load(folder / "sources.yaml")
    fill(hub, sources)
    yaml.dump(sources, folder / "sources.yaml")
    return folder


def environment(hub: Hub, home: Path) -> dict[str, str]:
    """That of a process whose client uses this hub, and a cache that is empty."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("HF_", "HUGGINGFACE_", "CARDPROOF"))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return kept | {
        "PATH": path, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1",
    }  # fmt: skip


def test_five_queued_cards_fetch_each_file_once(queue: Path, hub: Hub, tmp_path: Path) -> None:
    env = environment(hub, tmp_path / "home")
    for command in (
        ["dvc", "exp", "run", "--queue", "-S", f"card={','.join(CARDS)}", "download"],
        ["dvc", "exp", "run", "--run-all"],
    ):
        done = subprocess.run(
            command,
            cwd=queue,
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    for card in CARDS:
        assert f"card {card}: reviews imdb" in done.stdout
    show(hub, f"five queued cards: {', '.join(CARDS)}")
    assert {path: hub.sent[path] for path in hub.files} == {
        path: len(data) for path, data in hub.files.items()
    }


def test_two_processes_at_once_fetch_each_file_once(queue: Path, hub: Hub, tmp_path: Path) -> None:
    env = environment(hub, tmp_path / "home")
    command = [sys.executable, "-m", "stages.download"]
    params = (queue / "params.yaml").read_text()
    (queue / "params.yaml").write_text(params.replace("card: sample", "card: grojeda", 1))
    both = [
        subprocess.Popen(command, cwd=queue, env=env, stdout=subprocess.DEVNULL, stderr=-1)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=PATIENCE)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    hub.files = {path: data for path, data in hub.files.items() if "sst-2" not in path}
    show(hub, "two processes at once: grojeda")
    assert {path: hub.sent[path] for path in hub.files} == {
        path: len(data) for path, data in hub.files.items()
    }


def test_a_resumed_download_asks_for_the_rest_alone(queue: Path, hub: Hub, tmp_path: Path) -> None:
    big = next(path for path in hub.files if path.endswith("model.safetensors"))
    env = environment(hub, tmp_path / "home")
    yaml = YAML()
    sources = yaml.load(queue / "sources.yaml")
    hub.files[big] = random.Random(1).randbytes(25 * MIB)
    sources["bases"]["distilbert"]["files"]["model.safetensors"] = sha(hub.files[big])
    yaml.dump(sources, queue / "sources.yaml")
    params = (queue / "params.yaml").read_text()
    (queue / "params.yaml").write_text(params.replace("card: sample", "card: grojeda", 1))
    command = [sys.executable, "-m", "stages.download"]
    hub.cuts = repeat(21 * MIB)  # every connection breaks there
    cut = subprocess.run(command, cwd=queue, env=env, capture_output=True, text=True, check=False)
    assert cut.returncode == 1
    assert "run again to resume" in cut.stderr
    hub.files = {path: data for path, data in hub.files.items() if "sst-2" not in path}
    show(hub, "grojeda over a line that is cut after 21 MiB of each file")
    hub.cuts = iter(())
    hub.sent.clear()
    hub.seen.clear()
    done = subprocess.run(command, cwd=queue, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    show(hub, "the next run, over a line that holds")
    assert hub.gets(big) == [21 * MIB]
    assert hub.sent[big] == 4 * MIB


@pytest.mark.parametrize("each", [MIB, 4 * MIB, 16 * MIB])
def test_a_hub_that_cuts_every_connection_serves_each_byte_once(
    hub: Hub, tmp_path: Path, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("cardproof.data.receive.time.sleep", pauses.append)
    path, data = f"/some/base/resolve/{REVISION}/model.safetensors", bytes(18 * MIB)
    hub.files = {path: data}
    hub.cuts = chain(range(each, len(data), each), repeat(len(data)))
    pin = PinnedFile("model.safetensors", sha(data), "model.safetensors")
    fetch(Repository("model", "some/base", REVISION, (pin,)), tmp_path / "base", mirrors=[])
    show(hub, f"a model over a line that is cut every {each // MIB} MiB")
    assert (tmp_path / "base/model.safetensors").stat().st_size == len(data)
    assert hub.sent[path] == len(data)
    assert len(hub.gets(path)) == -(-len(data) // each)
    # What moves on need not wait; threads of others may sleep, too.
    assert pauses.count(0.1) == len(hub.gets(path)) - 1
