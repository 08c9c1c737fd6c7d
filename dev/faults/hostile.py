"""Files, hubs, checkpoints and variables that were made to do harm, tried on the real commands.

Each is refused before anything is touched, or got past. What is said of one is measured: the exit
code, the message, and by checksums whether a file of the outputs changed.
"""

import gzip
import io
import json
import os
import random
import shutil
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file, save_file

from cardproof.files import CHECKSUMS, sha256_of
from cardproof.recipe.environment import SAVE_VARIABLE
from dev.faults.copies import (
    Bench,
    Outcome,
    Running,
    checkpoints,
    edit_params,
    file_bytes,
    kill_all_in,
    last_error,
    outputs_of,
    resumed_from,
    run,
)
from dev.loopback import REVISION, Handler, Hub, Seen, serving, sha

MIB = 2**20
SECRET = "hf_0secret0"  # in whatever must not be shown
STAGES = ("download", "split", "tokenize", "train", "evaluate", "report")
CHECK = (sys.executable, "-m", "cardproof", "check", "--quiet")  # what `make repro` begins with
DOWNLOAD = (sys.executable, "-m", "stages.download")
Do = Callable[[Path], object]  # what is done to a copy of a finished run


def refused(
    bench: Bench, fault: str, where: str, do: Do, *, by: tuple[str, ...], words: str, **extra: str
) -> Outcome:
    """Do something to a finished run, and give a command that must refuse it."""
    folder = bench.scratch / "hostile"
    kept = {name: (folder / name).read_bytes() for name in ("params.yaml", "sources.yaml")}
    before = file_bytes(folder, _OUTPUTS)
    do(folder)
    began = time.monotonic()
    code, text = run(folder, *by, **extra)
    seconds = time.monotonic() - began
    stayed = file_bytes(folder, _OUTPUTS) == before
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    message = last_error(text)
    good = (
        code in (1, 2, 255) and stayed and words in text and "Traceback" not in text
        and SECRET not in text
    )  # fmt: skip
    what = f"exit code {code} in {seconds:.1f} s; outputs {'stayed' if stayed else '**changed**'}"
    return Outcome(fault, where, good, what, message or text[-300:])


_OUTPUTS = [path for stage in STAGES for path in outputs_of(stage)]


def inject(bench: Bench) -> Iterator[Outcome]:
    """All of them, in a copy of the undisturbed run."""
    bench.copy_done("hostile")
    for part in (_parameters, _sources, _variables, _own_files, _archives, _hubs):
        yield from part(bench)
    for cut in (1, 8, 64):
        yield _cutting_hub(bench, cut * MIB)
    yield from _folders(bench)
    yield from _bases(bench)
    yield from _checkpoints(bench)


# ---------------------------------------------------------------- params.yaml and sources.yaml


def _append(name: str, text: str) -> Do:
    def do(folder: Path) -> None:
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(text)

    return do


def _set(section: str, **values: object) -> Do:
    return lambda folder: edit_params(folder, {section: values})


def _parameters(bench: Bench) -> Iterator[Outcome]:
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    for fault, do, words in (
        ("aliases that expand to 9^11 items", _append("params.yaml", bomb), "is an alias"),
        ("a list that holds itself", _append("params.yaml", "a: &a [*a]\n"), "is an alias"),
        ("100,000 lists in each other", _append("params.yaml", "a: " + "[" * 10**5), "nested more"),
        ("300 KB", _append("params.yaml", "# " + "x" * 300_000), "more than"),
        ("a tag that runs a command",
         _append("params.yaml", "a: !!python/object/apply:os.system [true]\n"), "YAML"),
        ("a key twice", _append("params.yaml", "card: grojeda\n"), "params.yaml"),
        ("another file as card", lambda f: edit_params(f, {"card": "../../x"}), "card"),
        ("an infinite margin", _set("verdict", share_margin=float("inf")), "share_margin"),
        ("10^30 rows to score", _set("split", scored_rows=10**30, seed=1), "scored_rows"),
        ("10^30 steps of warm-up", _set("train", warmup_steps=10**30), "warmup_steps"),
        ("a rate that is no number", _set("train", learning_rate=float("nan")), "learning_rate"),
        ("no epochs", _set("train", epochs=0), "train.epochs"),
    ):  # fmt: skip
        yield refused(bench, fault, "params.yaml", do, by=CHECK, words=words)
    run(bench.scratch / "hostile", "git", "commit", "-qam", "done")
    by = ("dvc", "exp", "run", "-S", "train.epochs=0")
    words = "What -S set stays in params.yaml"
    yield refused(bench, "`-S train.epochs=0`", "params.yaml", lambda _: None, by=by, words=words)


def _source(kind: str, name: str, entry: Mapping[str, Any]) -> Do:
    """Add an entry to sources.yaml, or change one, and choose it."""

    def do(folder: Path) -> None:
        yaml = YAML()
        sources = yaml.load(folder / "sources.yaml")
        sources[kind][name] = dict(entry)
        yaml.dump(sources, folder / "sources.yaml")
        section, key = ("data", "reviews") if kind == "reviews" else ("model", "base")
        edit_params(folder, {section: {key: name}})

    return do


def _base(files: Mapping[str, str], repository: str = "someone/base", **more: Any) -> Do:
    entry = {"repository": repository, "revision": REVISION, "max_positions": 512}
    return _source("bases", "hostile", entry | more | {"files": dict(files)})


def _sources(bench: Bench) -> Iterator[Outcome]:
    known, other = {"config.json": "0" * 64}, "0" * 64
    for fault, do, words in (
        ("a repository's name that leads out of its folder", _base(known, "../../x"), "plain rel"),
        ("a name that no hub has", _base(known, "a/b/c"), "a name as the hub has them"),
        ("a file's name that leads out", _base({"../../x.json": other}), "plain relative name"),
        ("a file that is an absolute path", _base({"/etc/x.json": other}), "plain relative name"),
        ("a pickle", _base({"pytorch_model.bin": other}), "format that can run code"),
        ("Python code", _base({"modeling.py": other}), "format that can run code"),
        ("an adapter", _base({"adapter_config.json": other}), "of an adapter"),
        ("a branch as revision", _base(known, revision="main"), "a branch or a tag can move"),
        ("no checksum", _base({"config.json": ""}), "sources.yaml"),
    ):
        yield refused(bench, fault, "sources.yaml", do, by=CHECK, words=words)


# ---------------------------------------------------------------- the environment


def _variables(bench: Bench) -> Iterator[Outcome]:
    for name, value in (
        ("CARDPROOF_SAVE_SECONDS", "nan"), ("HF_ENDPOINT", "huggingface.co"),
        ("HF_ENDPOINT", f"https://me:{SECRET}@hub"), ("HF_ENDPOINT", "https://hub:99999"),
        ("HF_TOKEN", f"{SECRET}\u00e9"), ("HF_HUB_ETAG_TIMEOUT", "1.5"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "9" * 5000), ("HTTPS_PROXY", f"foo://me:{SECRET}@proxy"),
        ("HF_HOME", "~nosuchuser/"), ("CARDPROOF_MIRROR", "~nosuchuser/"), ("WORLD_SIZE", "2"),
    ):  # fmt: skip
        shown = value.replace(SECRET, "...")[:40]
        extra = {name: value}
        yield refused(bench, f"`{shown}`", name, lambda _: None, by=CHECK, words=name, **extra)


# ---------------------------------------------------------------- own files, archives


def _own(name: str, content: bytes) -> Do:
    """A file as own reviews: for train and for test."""

    def do(folder: Path) -> None:
        path = folder / "own" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        files = {split: {"path": str(path)} for split in ("train", "test")}
        _source("reviews", "own", files)(folder)

    return do


def _parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _own_files(bench: Bench) -> Iterator[Outcome]:
    rows = b"text,label\ngood,1\nbad,0\n"
    late = pa.array([2**62, 0], pa.timestamp("ms"))
    for fault, name, content, words in (
        ("UTF-16", "r.csv", rows.decode().encode("utf-16"), "UTF-16"),
        ("compressed", "r.csv", gzip.compress(rows), "gzip"),
        ("not UTF-8", "r.csv", b"text,label\ncaf\xe9,1\n", "UTF-8"),
        ("nothing", "r.csv", b"", "r.csv"),
        ("NUL bytes", "r.csv", bytes(100), "r.csv"),
        ("another column", "r.csv", b"review,label\ngood,1\n", "text"),
        ("a label of 7", "r.csv", b"text,label\ngood,7\n", "7"),
        ("a quote that is not closed", "r.csv", b'text,label\n"good,1\n', "r.csv"),
        ("a key twice in a line", "r.jsonl", b'{"text": "a", "label": 0, "label": 1}\n', "label"),
        ("100,000 lists in each other", "r.jsonl", b'{"text": ' + b"[" * 10**5, "r.jsonl"),
        ("half a parquet file", "r.parquet", _parquet(text=["a"] * 99, label=[0] * 99)[:400],
         "r.parquet"),
        ("a date that is none", "r.parquet", _parquet(text=["a", "b"], label=late), "label"),
        ("a pickle", "r.pkl", b"\x80\x04.", "format"),
    ):  # fmt: skip
        yield refused(bench, fault, name, _own(name, content), by=DOWNLOAD, words=words)
    for fault, path, words in (
        ("a file that is not there", "own/nothing.csv", "own/nothing.csv"),
        ("a directory", "own", "director"),
        ("a home of nobody", "~nosuchuser/r.csv", "nosuchuser"),
    ):
        files = {split: {"path": path} for split in ("train", "test")}
        do = _source("reviews", "own", files)
        yield refused(bench, fault, path, do, by=DOWNLOAD, words=words)


def _member(name: str, data: bytes = b"", **fields: Any) -> bytes:
    """A gzipped archive with one member."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        for field, value in fields.items():
            setattr(member, field, value)
        archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def _archives(bench: Bench) -> Iterator[Outcome]:
    name, review = "aclImdb_v1.tar.gz", "aclImdb/train/neg/0_1.txt"
    bomb = tarfile.TarInfo("aclImdb/imdb.vocab")
    bomb.size = 64 << 30
    link: dict[str, Any] = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}
    imdb = {"card": "grojeda", "model": {"base": "sample"}}
    for fault, content, words in (
        ("a member that leads out", _member("aclImdb/../../x"), "outside the destination"),
        ("a link to /etc/passwd", _member("aclImdb/README", **link), "link to an absolute path"),
        ("a link where a review must be", _member(review, **link), "not a file where a review"),
        ("a device", _member("aclImdb/null", type=tarfile.CHRTYPE), "special file"),
        ("64 GiB in 8 KB", gzip.compress(bomb.tobuf() + bytes(8 * MIB)), "68,719,476,736 bytes"),
        ("cut off", _member(review, b"x" * 9999)[:90], "truncated, damaged or unsafe"),
        ("a web page", b"<html>Not found</html>" * 50, "truncated, damaged or unsafe"),
        ("other reviews", _member(review, b"other"), "of 0 reviews"),
    ):

        def do(folder: Path, content: bytes = content) -> None:
            (folder / "mirror").mkdir(exist_ok=True)
            (folder / "mirror" / name).write_bytes(content)
            edit_params(folder, imdb)

        yield refused(bench, fault, name, do, by=DOWNLOAD, words=words, CARDPROOF_MIRROR="mirror")

    def loop(folder: Path) -> None:
        (folder / "loop").symlink_to("loop")
        edit_params(folder, imdb)

    fault, where = "a mirror that is a link to itself", "CARDPROOF_MIRROR"
    yield refused(bench, fault, where, loop, by=DOWNLOAD, words="loop", CARDPROOF_MIRROR="loop")


# ---------------------------------------------------------------- the hub


def _client(bench: Bench, hub: Hub) -> dict[str, str]:
    """Variables that lead the hub's client to a hub, with a cache of its own."""
    home = bench.scratch / f"hf-{bench.chance.randrange(2**32)}"
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": SECRET, "NO_PROXY": "127.0.0.1"}  # fmt: skip


def _weights(data: bytes) -> tuple[Do, str]:
    """A base of one file, and that file's path at the hub."""
    return (
        _base({"model.safetensors": sha(data)}),
        f"/someone/base/resolve/{REVISION}/model.safetensors",
    )


def _head(handler: Handler, size: object, **more: str) -> bool:
    """Announce a file."""
    handler.send_response(200)
    head = {"ETag": '"x"', "X-Repo-Commit": REVISION, "Content-Length": str(size)} | more
    for name, value in head.items():
        handler.send_header(name, value)
    handler.end_headers()
    return True


def _hubs(bench: Bench) -> Iterator[Outcome]:
    data = random.Random(0).randbytes(3 * MIB)
    do, path = _weights(data)
    half = len(data) // 2

    def announcing(size: int) -> Callable[[Handler, Seen], bool]:
        return lambda handler, seen: seen.method == "HEAD" and _head(handler, size)

    def compressed(handler: Handler, seen: Seen) -> bool:
        if seen.method == "HEAD":
            return _head(handler, len(data))
        handler.send(200, {"Content-Encoding": "gzip"}, gzip.compress(data, 1))
        return True

    def tiny_parts(handler: Handler, seen: Seen) -> bool:
        if seen.method == "HEAD":
            return _head(handler, len(data))
        start = seen.start or 0
        range_ = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        handler.send(206 if start else 200, range_, data[start : start + 99], len(data) - start)
        return True

    for fault, options, words in (
        ("other bytes than the pinned", {"files": {path: data[:half] + bytes(half)}}, "another f"),
        ("the file is not there", {"files": {}}, "HTTP 404"),
        ("access refused", {"statuses": iter([401] * 9)}, "HTTP 401"),
        ("a pause of a day asked for",
         {"statuses": iter([429] * 99), "headers": {"Retry-After": "86400"}}, "86,400 s"),
        ("2^60 bytes announced", {"answer": announcing(2**60)}, "bytes are announced"),
        ("compressed", {"answer": compressed}, "sent in compressed form"),
        ("99 bytes a connection", {"answer": tiny_parts}, "the connection broke"),
    ):  # fmt: skip
        with serving() as hub:
            hub.files = {path: data}
            vars(hub).update(options)
            extra = _client(bench, hub)
            yield refused(bench, fault, "hub", do, by=DOWNLOAD, words=words, **extra)


def _cutting_hub(bench: Bench, cut: int) -> Outcome:
    """A hub that ends every connection after so many bytes, until the download is whole."""
    data = random.Random(cut).randbytes(80 * MIB)
    do, path = _weights(data)
    folder = bench.copy_done(f"cut-{cut}")
    do(folder)
    with serving() as hub:

        def answer(handler: Handler, seen: Seen) -> bool:
            if seen.method == "HEAD":
                return _head(handler, len(data))
            start = seen.start or 0
            range_ = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            part = data[start : start + cut]
            handler.send(206 if start else 200, range_, part, len(data) - start)
            return True

        hub.answer = answer
        code, text = run(folder, *DOWNLOAD, **_client(bench, hub))
        served, connections = hub.sent[path], len(hub.gets(path))
    found = folder / "data/base/model.safetensors"
    whole = found.is_file() and found.stat().st_size == len(data)
    good = code == 0 and whole and sha256_of(found) == sha(data) and served == len(data)
    shutil.rmtree(folder)
    return Outcome(
        f"cuts every connection after {cut // MIB} MiB", "hub", good,
        f"exit code {code}; {served:,} bytes served in {connections} connections for a file of "
        f"{len(data):,}", last_error(text) if code else "",
    )  # fmt: skip


# ---------------------------------------------------------------- folders that do not belong


def _folders(bench: Bench) -> Iterator[Outcome]:
    """Names lent to other bytes, and a stage that was run by hand on other reviews."""
    folder = bench.copy_done("lent")
    _source("reviews", "imdb", _lent(folder))(folder)
    edit_params(folder, {"card": "grojeda", "data": {"reviews": None}, "model": {"base": "sample"}})
    code, text = run(folder, *DOWNLOAD)
    recipe = json.loads((folder / "data/recipe/report.json").read_text(encoding="utf-8"))
    name = recipe["reviews_name"]
    said = next(
        (line.strip() for line in text.splitlines() if "not the card's data.re" in line), ""
    )
    yield Outcome("the name imdb given to own files", "sources.yaml",
                  code == 0 and name == "imdb-changed" and bool(said),
                  f"exit code {code}; the run is of {name}",
                  said)  # fmt: skip
    shutil.copytree(bench.done / "data/recipe", folder / "data/recipe", dirs_exist_ok=True)
    for stage in ("split", "tokenize"):
        run(folder, sys.executable, "-m", f"stages.{stage}")
    for stage in ("evaluate", "report"):
        code, text = run(folder, sys.executable, "-m", f"stages.{stage}")
        good = code == 1 and "identity of reviews" in text and "Traceback" not in text
        yield Outcome(f"{stage} by hand, after split by hand on other reviews", "data/split", good,
                      f"exit code {code}", last_error(text))  # fmt: skip


def _lent(folder: Path) -> dict[str, Any]:
    path = folder / "lent.csv"
    rows = "".join(f"film {i},{i % 2}\n" for i in range(300))
    path.write_text(f"text,label\n{rows}", encoding="utf-8")
    return {split: {"path": str(path)} for split in ("train", "test")}


# ---------------------------------------------------------------- bases


def _bases(bench: Bench) -> Iterator[Outcome]:
    """A base whose settings ask for code, with checksums that match."""
    folder = bench.copy_done("base")
    place = folder / "mirror/someone/base"
    shutil.copytree(folder / "sample/hub/cardproof/sample-distilbert", place)
    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    asks = {"auto_map": {"AutoConfig": "evil--x.C"}, "_attn_implementation": "evil/kernel"}
    left_out = "left out: a loader would fetch or run code"
    for fault, more, refused_, words in (
        ("settings that ask for code", asks, False, left_out),
        ("rounded weights that other code unpacks",
         {"quantization_config": {"quant_method": "mxfp4"}}, True, "has a quantization_config"),
    ):  # fmt: skip
        (place / "config.json").write_text(json.dumps(config | more), encoding="utf-8")
        _base({path.name: sha256_of(path) for path in place.iterdir()})(folder)
        said, code = "", 0
        for stage in ("download", "tokenize", "train"):
            extra = {"CARDPROOF_MIRROR": "mirror", SAVE_VARIABLE: "1000"}
            code, text = run(folder, sys.executable, "-m", f"stages.{stage}", **extra)
            said = said or next((x.strip() for x in text.splitlines() if words in x), "")
            if code:
                break
        good = code == int(refused_) and bool(said)
        clean = not any("evil" in p.read_text("utf-8") for p in (folder / "model").glob("*.json"))
        what = (
            f"exit code {code}; the model's settings {'do not ask' if clean else '**ask**'} for it"
        )
        yield Outcome(fault, "a base's config.json", good and clean, what, said)


# ---------------------------------------------------------------- checkpoints


class _Pickle:
    """What a pickle would run when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.mark,)


def _checkpoints(bench: Bench) -> Iterator[Outcome]:
    """Poison the newest checkpoint of a killed training, with checksums that match."""
    killed = bench.copy_done("poisoned")
    shutil.rmtree(killed / ".dvc/tmp/cardproof")
    running = Running(killed, sys.executable, "-m", "stages.train")
    running.wait_for(lambda: len(checkpoints(killed)) > 2)
    kill_all_in(killed)
    running.end()

    def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Do:
        def do(checkpoint: Path) -> None:
            held = load_file(checkpoint / "model.safetensors")
            change(held)
            save_file(held, checkpoint / "model.safetensors")

        return do

    ran = bench.scratch / "ran"
    bias = "classifier.bias"
    for fault, do, words in (
        ("a pickle that runs code",
         lambda c: torch.save({"state": _Pickle(ran)}, c / "optimizer.pt"), "optimizer.pt cannot"),
        ("weights that are no numbers", tensors(lambda t: t[bias].fill_(torch.nan)), "not finite"),
        ("weights of another size", tensors(lambda t: t.update({bias: torch.ones(3)})), "the size"),
    ):  # fmt: skip
        folder = Path(shutil.copytree(killed, bench.scratch / "poisoned-copy", symlinks=True))
        newest = checkpoints(folder)[-1]
        do(newest)
        files = (p for p in newest.iterdir() if p.is_file() and p.name != CHECKSUMS)
        sums = {p.name: sha256_of(p) for p in files}  # a kill may have left a folder
        (newest / CHECKSUMS).write_text(json.dumps(sums), encoding="utf-8")
        code, text = run(folder, sys.executable, "-m", "stages.train")
        model = "model/model.safetensors"
        same = (folder / model).read_bytes() == (bench.done / model).read_bytes()
        line = next((x for x in text.splitlines() if f"{newest.name} cannot be used" in x), "")
        good = code == 0 and same and words in line and not ran.exists()
        then = resumed_from(text) or "from the start"
        bytes_ = "the bytes of an undisturbed run" if same else "**other bytes**"
        shutil.rmtree(folder)
        yield Outcome(fault, "a checkpoint", good, f"exit code {code}; {then}; {bytes_}", line)
