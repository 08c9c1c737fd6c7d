"""The benchmark: each section in small, its counting, and that what is written agrees."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from cardproof.recipe.environment import MIRROR_VARIABLE
from dev.benchmarks import __main__ as command
from dev.benchmarks import bench, figure, growth, page, processes, stages
from dev.benchmarks.growth import power_law
from dev.benchmarks.processes import (
    PEAKS,
    BenchmarkError,
    Outcome,
    Task,
    run_in_turns,
    run_tasks,
)
from dev.benchmarks.profile import GROUPS, own_functions
from dev.benchmarks.results import FILE, read_results, spread
from dev.benchmarks.training import forward_flops, same_lengths
from dev.repository import ROOT
from tests.conftest import PATIENCE
from tests.dev.memory import hold_memory
from tests.warm import WARM, run_module

FOLDER = ROOT / "dev/benchmarks"


def run_warm(tasks: Sequence[Task]) -> list[Outcome]:
    """As `run_tasks`, in a fork of a process that has imported the libraries."""
    with TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        calls = [[t.function.__module__, t.function.__name__, dict(t.arguments), str(t.folder)]
                 for t in tasks]  # fmt: skip
        process = WARM.Process(
            target=run_module,
            args=(processes.__name__, json.dumps(calls), str(answer)),
            kwargs={"cwd": ROOT, "log": Path(folder) / "log"},
        )
        process.start()
        process.join(PATIENCE)
        assert process.exitcode == 0, (Path(folder) / "log").read_text()
        return [value | dict.fromkeys(PEAKS, 1.0) for value in json.loads(answer.read_text())]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a tiny run of every section writes."""
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "run_tasks", run_warm)
        patch.setattr(growth, "run_tasks", run_warm)
        patch.delenv(MIRROR_VARIABLE, raising=False)
        command.main(["--tiny", "--output", str(folder)])
    return folder


def test_every_section_runs_and_is_written(tiny: Path) -> None:
    results = json.loads((tiny / FILE).read_text(), parse_constant=pytest.fail)
    assert list(results) == list(command.SECTIONS)
    for name, section in results.items():
        assert section["tiny"], name
        assert section["machine"]["cores"] >= 1
        assert section["versions"]["torch"] == torch.__version__
    training = results["training"]["figures"]
    profile = training.pop("profile")
    assert all(value["median"] > 0 for variant in training.values() for value in variant.values())
    assert sum(profile[group]["median"] for group in GROUPS) == pytest.approx(1, abs=1e-5)
    assert all(profile[group]["median"] > 0 for group in GROUPS[:-1])
    assert not results["stages"]["figures"]["split"]["loads_torch"]
    assert results["stages"]["figures"]["split"]["import_seconds"]["median"] > 0.1


def test_the_largest_imports_are_summed_by_package_over_repeats() -> None:
    found = [{"a": 1.0, "a.b": 2.0, "c": 2.5}, {"a": 2.0, "c": 0.5, "d": 0.1}]
    largest = stages.largest_imports(found, 2)
    assert largest == {"a": spread([3.0, 2.0]), "c": spread([2.5, 0.5])}


def test_what_is_committed_is_what_is_measured(tiny: Path) -> None:
    committed, now = read_results(FOLDER), read_results(tiny)
    assert committed.keys() == now.keys()
    for name in ("training", "inference", "growth"):
        assert committed[name]["settings"].keys() == now[name]["settings"].keys()
        for variant, figures in committed[name]["figures"].items():
            assert figures.keys() <= now[name]["figures"][variant].keys(), variant


def assert_agree(folder: Path) -> None:
    results = read_results(folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == page.render(results)
    with Image.open(io.BytesIO((folder / "figure.png").read_bytes())) as picture:
        assert picture.info[figure.SOURCE] == figure.checksum_of(results)


def test_the_page_and_the_figure_are_of_the_results(tiny: Path) -> None:
    assert_agree(tiny)
    text = (tiny / "README.md").read_text()
    assert "its figures mean nothing" in text
    assert all(goal["what"] in text for goal in page.GOALS)


def test_what_is_committed_agrees() -> None:
    assert_agree(FOLDER)
    assert not any(section["tiny"] for section in read_results(FOLDER).values())


def test_the_readme_has_the_measured_speeds() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    figures = read_results(FOLDER)["training"]["figures"]
    for name in ("trainer_fp32", "trainer_bf16", "ours_fp32", "ours_bf16"):
        speed, ratio = (
            figures[name][key]["median"] for key in ("tokens_per_second", "over_trainer_fp32")
        )
        assert f"| {speed:,.0f} | {float(f'{ratio:.2g}'):g} |" in readme, name


def test_a_section_alone_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_results(FOLDER)
    (tmp_path / FILE).write_text((FOLDER / FILE).read_text())
    found = {name: before["stages"][name] for name in ("settings", "figures")}
    monkeypatch.setattr(stages, "measure", lambda _: found)
    command.main(["stages", "--tiny", "--output", str(tmp_path)])
    after = read_results(tmp_path)
    assert after.pop("stages")["tiny"] != before.pop("stages")["tiny"]
    assert after == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trainings"], "no section trainings; there are training, inf"),
        (["--tiny"], "--tiny needs --output"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("lengths", [[7], [3, 11, 30]])
def test_operations_are_those_that_torch_counts(lengths: list[int]) -> None:
    sizes: dict[str, Any] = {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 48}
    config = DistilBertConfig(vocab_size=50, attn_implementation="eager", **sizes)
    model = DistilBertForSequenceClassification(config).eval()
    counted = 0
    for n in lengths:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(input_ids=torch.ones((1, n), dtype=torch.long))
        counted += counter.get_total_flops()
    assert forward_flops(lengths, sizes) == counted


def test_operations_needed_leave_out_most_of_the_last_layer() -> None:
    share = forward_flops([300] * 16, {}, needed=True) / forward_flops([300] * 16, {})
    assert 5 / 6 < share < 0.9  # five layers of six, and the keys and values of the last


def test_a_spread_and_an_exponent() -> None:
    assert spread([3, 1, 2]) == {"median": 2, "low": 1, "high": 3}
    assert power_law([1, 2, 4, 8], [3, 6, 12, 24]) == pytest.approx(1)
    assert power_law([1, 2, 4, 8], [5, 20, 80, 320]) == pytest.approx(2)


@pytest.mark.parametrize("rows", [300, 1000, 2500])
def test_multiples_repeat_no_text_and_keep_the_labels(rows: int, tmp_path: Path) -> None:
    source, target = bench.make_bench(bench.TINY, tmp_path).test, tmp_path / "reviews.parquet"
    bench.write_reviews(source, rows, target)
    drawn, originals = pq.read_table(target).to_pydict(), pq.read_table(source).to_pydict()
    repeated = len(originals["text"]) - len(set(originals["text"]))
    times = -(-rows // len(originals["text"]))
    assert len(drawn["text"]) == rows
    assert rows - len(set(drawn["text"])) <= repeated * times
    labels = dict(zip(originals["text"], originals["label"], strict=True))
    for text, label in zip(drawn["text"], drawn["label"], strict=True):
        assert labels[text if text in labels else text.partition(". ")[2]] == label
    assert drawn["text"][:20] != originals["text"][:20]


def test_variants_on_other_batches_are_not_compared() -> None:
    assert same_lengths([{"lengths": [1, 2]}, {"lengths": [1, 2]}]) == [1, 2]
    with pytest.raises(BenchmarkError, match="the same batches"):
        same_lengths([{"lengths": [1, 2]}, {"lengths": [2, 1]}])


def test_a_task_that_fails_says_why(tmp_path: Path) -> None:
    task = Task(hold_memory, {"letters": 3}, tmp_path)
    with pytest.raises(BenchmarkError, match="unexpected keyword argument 'letters'"):
        run_tasks([task])


@pytest.mark.slow
def test_variants_take_turns_in_processes_of_their_own(tmp_path: Path) -> None:
    little, much = (
        Task(hold_memory, {"mib": 1}, tmp_path),
        Task(hold_memory, {"mib": 300}, tmp_path),
    )
    found = run_in_turns({"much": much, "little": little}, repeats=2)
    for outcome in found["much"]:
        assert 300 < outcome["peak_anonymous_mib"] < 400
        assert outcome["peak_resident_mib"] > 300
    assert all(outcome["peak_anonymous_mib"] < 100 for outcome in found["little"])
    assert [len(outcomes) for outcomes in found.values()] == [2, 2]


@pytest.mark.parametrize(
    ("median", "verdict"),
    [(5.5, "met"), (4.4, "missed by 20%"), (6.1, "met"), (None, "not measured")],
)
def test_a_goal_is_met_or_missed_by_so_much(median: float | None, verdict: str) -> None:
    results = read_results(FOLDER)
    if median is None:
        del results["training"]
    else:
        results["training"]["figures"]["ours_bf16"]["over_trainer_fp32"]["median"] = median
    assert page.judge(results)[0][-1] == verdict


def test_a_page_can_be_of_some_sections() -> None:
    results = read_results(FOLDER)
    text = page.render({"inference": results["inference"]})
    assert "reviews/s" in text
    assert "useful tokens/s" not in text
    assert figure.draw({"growth": results["growth"]})


def test_the_profile_knows_what_is_ours() -> None:
    known = own_functions()
    assert "attention" in {known[name] for name in known if name.endswith("Backward")}
    assert set(known.values()) == {"attention", "dropout masks", "layer norm and residual"}


def test_reviews_are_the_real_ones_where_a_mirror_is_named(
    mirror: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, str(mirror))
    real = bench.make_bench(bench.TINY, tmp_path)
    assert real.name == "IMDb"
    assert real.train.is_file()
    assert real.tokenizer.is_dir()
    monkeypatch.delenv(MIRROR_VARIABLE)
    assert bench.make_bench(bench.TINY, tmp_path).name == "the embedded sample"
