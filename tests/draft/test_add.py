"""`cardproof add` as a command: files, standard input, a hub on loopback, and runs of drafts."""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML

from cardproof import cli
from cardproof.cli.add import main
from dev.faults.copies import edit_params
from tests.conftest import ALL_STAGES, ROOT, Run
from tests.draft.cards import SHARED, TRAINER, a_plain_distilbert_card

HEAVY = ("torch", "transformers", "datasets", "dvc", "sklearn", "matplotlib", "pyarrow")
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recipe's files and a card to add, in which the command runs."""
    for path in [*(ROOT / "cards").glob("*.yaml"), ROOT / "params.yaml", ROOT / "sources.yaml"]:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tmp_path / "README.md").write_text(TRAINER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text())


def test_a_card_is_written_and_what_has_no_place_is_printed(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["README.md"]) == 0
    out = capsys.readouterr().out
    assert "cards/made-up-model.yaml: " in out
    assert "label_smoothing_factor: 0.1: no key" in out
    assert "git add cards/made-up-model.yaml" in out
    assert "dvc exp run -S card=made-up-model" in out
    assert written(clone / "cards/made-up-model.yaml")["train"]["learning_rate"] == 3e-5
    assert not list((clone / "cards").glob(".*")), "something was left beside it"


def test_no_file_is_overwritten_unasked(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (clone / "cards/grojeda.yaml").read_text()
    assert main(["README.md", "--name", "grojeda"]) == 2
    assert "--force" in capsys.readouterr().err
    assert (clone / "cards/grojeda.yaml").read_text() == before
    assert main(["README.md", "--name", "grojeda", "--force"]) == 0
    assert written(clone / "cards/grojeda.yaml")["title"] == "made-up-model"


@pytest.mark.parametrize("name", ["", "a b", "../a", "a.b", "é", "defaults"])
def test_what_is_no_name_is_refused(
    clone: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    before = sorted(clone.rglob("*"))
    assert main(["README.md", "--name", name, "--force"]) == 2
    assert "--name" in capsys.readouterr().err
    assert sorted(clone.rglob("*")) == before


def test_standard_input_and_another_folder(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(TRAINER.encode())))
    assert main(["-", "--out", "drafts/new", "--name", "mine"]) == 0
    assert (clone / "drafts/new/mine.yaml").is_file()
    copied = "cp drafts/new/mine.yaml cards/mine.yaml\n  git add cards/mine.yaml\n  dvc exp run"
    assert copied in capsys.readouterr().out  # runs look in cards/ only


def test_a_card_trained_on_fewer_rows_gets_the_command_that_does_so(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TRAINER.partition("### Training results")[0].replace("made-up-model", "a-3000-samples")
    (clone / "README.md").write_text(text)
    assert main(["README.md", "--out", str(clone / "cards")]) == 0
    out = capsys.readouterr().out
    assert out.endswith("\n  dvc exp run -S card=a-3000-samples -S data.limit=3000\n")
    assert "cp " not in out
    assert 'its verdicts will be "not comparable"' in out


def test_a_base_without_an_entry_leaves_a_file_and_says_what_to_add(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "README.md").write_text(TRAINER.replace("distilbert-base-uncased", "someone/a-bert"))
    assert main(["README.md"]) == 1
    out = capsys.readouterr().out
    assert "sources.yaml has no someone/a-bert; add a-bert under `bases:`" in out
    assert "every run is refused" in out
    assert written(clone / "cards/made-up-model.yaml")["base"] == "a-bert"


@pytest.mark.parametrize(
    ("card", "told"),
    [("missing.md", "no such file"), ("cards", "no such file"), ("a/b/c", "no such file")],
)
def test_a_card_that_is_not_there(
    clone: Path, capsys: pytest.CaptureFixture[str], card: str, told: str
) -> None:
    assert main([card]) == 2
    assert told in capsys.readouterr().err


def test_it_runs_in_a_clone_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text(TRAINER)
    assert main(["README.md"]) == 2
    assert "repository's root" in capsys.readouterr().err


def test_it_imports_nothing_heavy(clone: Path) -> None:
    code = (
        "import sys; from cardproof.cli import main; status = main(['add', 'README.md']); "
        f"print([name for name in {HEAVY} if name in sys.modules]); sys.exit(status)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=clone, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


# ------------------------------------------------------------------ a hub on loopback

CONFIG = json.dumps({"model_type": "bert", "max_position_embeddings": 512}).encode()


class Handler(BaseHTTPRequestHandler):
    """A hub with one card and one base; the base's weights are known by their checksum only."""

    protocol_version = "HTTP/1.1"
    card = TRAINER.replace("distilbert-base-uncased", "a-bert").encode()

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self, with_body: bool) -> None:
        body, status = b"", 404
        if self.path.startswith("/someone/a-model/resolve/main/README.md"):
            body, status = self.card, 200
        elif self.path.endswith(f"a-bert/resolve/{REVISION}/config.json"):
            body, status = CONFIG, 200
        elif self.path.startswith("/api/models/a-bert"):
            body, status = self.model_info(), 200
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def model_info(self) -> bytes:
        weights = {"sha256": "f" * 64, "size": 9, "pointerSize": 1}
        files = [
            {"rfilename": "config.json", "size": len(CONFIG)},
            {"rfilename": "model.safetensors", "size": 9, "lfs": weights},
            {"rfilename": "README.md", "size": 1},
        ]
        return json.dumps({"id": "owner/a-bert", "sha": REVISION, "siblings": files}).encode()


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def add_from(
    endpoint: str, clone: Path, *arguments: str, offline: str = "0", command: str = "add"
) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "HF_TOKEN"}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(clone / "hf"), "PYTHONPATH": str(ROOT)}
    environment["HF_HUB_OFFLINE"] = offline
    line = [sys.executable, "-m", "cardproof", command, *arguments]
    return subprocess.run(
        line, cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


def test_a_card_of_the_hub_with_the_pins_of_its_base(clone: Path, hub: str) -> None:
    done = add_from(hub, clone, "someone/a-model")
    assert done.returncode == 1, done.stderr
    card = written(clone / "cards/a-model.yaml")
    assert (card["published_as"], card["base"]) == ("someone/a-model", "a-bert")
    block = done.stdout.partition("under `bases:`\n")[2].partition("\n\n")[0]
    entry = YAML(typ="safe").load(block)["a-bert"]
    assert entry == {
        "repository": "owner/a-bert",
        "revision": REVISION,
        "max_positions": 512,
        "files": {
            "config.json": hashlib.sha256(CONFIG).hexdigest(),
            "model.safetensors": "f" * 64,
        },
    }
    sources = (clone / "sources.yaml").read_text()
    (clone / "sources.yaml").write_text(sources.replace("bases:\n", f"bases:\n{block}\n", 1))
    assert add_from(hub, clone, "someone/a-model", "--force").returncode == 0


def test_a_hub_without_the_card_and_no_hub_at_all(clone: Path, hub: str) -> None:
    for offline in ("0", "1"):
        done = add_from(hub, clone, "someone/other", offline=offline)
        assert done.returncode == 2
        assert done.stderr.startswith("error: someone/other: ")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["add", "audit"])
def test_a_hub_out_of_reach_is_one_line_at_once(clone: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    start = time.monotonic()
    done = add_from(f"http://127.0.0.1:{port}", clone, "someone/a-model", command=command)
    assert time.monotonic() - start < 15, "retried"
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        r"error: someone/a-model: the hub cannot be reached \(.*refused.*\); "
        r"name a file instead\n",
        done.stderr,
    )


def test_a_card_that_the_client_has_is_read_when_the_hub_is_out_of_reach(
    clone: Path, hub: str
) -> None:
    assert add_from(hub, clone, "--table", "someone/a-model", command="audit").returncode == 0
    for endpoint, offline in (("http://127.0.0.1:9", "0"), (hub, "1")):
        done = add_from(
            endpoint, clone, "--table", "someone/a-model", command="audit", offline=offline
        )
        assert (done.returncode, done.stderr) == (0, "")


# ------------------------------------------------------------------ a run of what was drafted

SAMPLE = (
    TRAINER.replace("distilbert-base-uncased", "cardproof/sample-distilbert")
    .replace("imdb", "cardproof/sample-reviews")
    .replace("- train_batch_size: 16", "- train_batch_size: 4")
    .replace("- total_train_batch_size: 32", "- total_train_batch_size: 8")
    .replace("- mixed_precision_training: Native AMP\n", "")
    + "\nThe training rows were split 90/10 (seed 5) into training and validation rows.\n"
    "Reviews were truncated to 64 tokens.\n"
)


def run_in_miniature(
    folder: Path, run: Run, changes: dict[str, Any], mirror: Path | None = None
) -> Any:
    """Run the drafted card for four steps on 120 rows; the metrics of the run."""
    few: dict[str, Any] = {"card": "drafted", "train": {"max_steps": 4}, "data": {"limit": 120}}
    edit_params(folder, few | changes)
    done = run("python", "-c", ALL_STAGES, cwd=folder, mirror=mirror)
    assert done.returncode == 0, done.stderr + done.stdout
    assert (folder / "report/index.html").is_file()
    return json.loads((folder / "metrics/evaluate.json").read_text())


@pytest.mark.slow
def test_a_drafted_card_runs_on_the_sample(
    make_repository: Callable[[], Path], run: Run, tmp_path: Path
) -> None:
    folder = make_repository()
    (tmp_path / "card.md").write_text(SAMPLE)
    command = [sys.executable, "-m", "cardproof", "add", str(tmp_path / "card.md")]
    added = run(*command, "--name", "drafted", cwd=folder)
    assert added.returncode == 0, added.stderr + added.stdout
    figures = run_in_miniature(folder, run, {})
    assert figures["rows"] == 120
    assert "made-up-model" in (folder / "report/index.html").read_text()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="real cards are not part of this repository")
def test_a_real_card_that_nobody_wrote_by_hand_runs(
    make_repository: Callable[[], Path], run: Run, tmp_path: Path, mirror: Path
) -> None:
    folder = make_repository()
    (tmp_path / "card.md").write_text(a_plain_distilbert_card())
    command = [sys.executable, "-m", "cardproof", "add", str(tmp_path / "card.md")]
    added = run(*command, "--name", "drafted", cwd=folder)
    assert added.returncode == 0, added.stderr + added.stdout
    changes = {"model": {"base": "minilm"}, "tokenize": {"max_length": 48}}
    run_in_miniature(folder, run, changes, mirror)


def test_the_audit_takes_a_card_of_the_hub_by_its_id_and_by_its_page(clone: Path, hub: str) -> None:
    for named in ("someone/a-model", f"{hub}/someone/a-model/blob/main/README.md"):
        done = add_from(hub, clone, "--table", named, command="audit")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{named}: ")
    missing = add_from(hub, clone, "someone/nothing", command="audit")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "someone/nothing" in missing.stderr


def test_the_audit_imports_nothing_heavy(clone: Path) -> None:
    code = (
        "import sys; from cardproof.cli import main; status = main(['audit', 'README.md']); "
        f"print([name for name in {HEAVY} if name in sys.modules]); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=clone, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_ENDPOINT", "https://me:secret@127.0.0.1:1"),
        ("HF_HUB_ETAG_TIMEOUT", "abc"),
        ("HF_TOKEN", "s\u00e9cret"),
    ],
)
@pytest.mark.parametrize("command", ["add", "audit"])
def test_a_bad_variable_is_refused_before_the_hub_is_asked(
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("WORLD_SIZE", "2")  # of no matter here
    assert cli.main([command, "some/model"]) != 0
    said = "".join(capsys.readouterr())
    assert f"1 fault in the environment. Nothing was run.\n  {name}: " in said
    assert "cret" not in said
