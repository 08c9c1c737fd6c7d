"""The benchmark: each section in small, its counting, and that what is written agrees."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from cardproof.data.hub import MIRROR_VARIABLE
from dev.benchmarks import __main__ as command
from dev.benchmarks import figure, goals, gpu, page
from dev.benchmarks.flops import Shape, forward_flops, forward_flops_needed
from dev.benchmarks.inputs import ROOT, find_inputs, sample_inputs
from dev.benchmarks.prepare import write_multiple
from dev.benchmarks.products_work import own_functions
from dev.benchmarks.record import FILE, middle, read_results
from dev.benchmarks.runner import BenchmarkError, Outcome, Task, run_each
from dev.benchmarks.spread import power_law, spread
from dev.benchmarks.training import same_lengths

FOLDER = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a quick run of every section writes."""
    folder = tmp_path_factory.mktemp("quick")
    command.main(["--quick", "--sample", "--repeats", "1", "--output", str(folder)])
    return folder


def test_every_section_runs_and_is_written(quick: Path) -> None:
    results = json.loads((quick / FILE).read_text(), parse_constant=pytest.fail)
    assert list(results) == list(command.SECTIONS)
    for name, section in results.items():
        assert section["quick"], name
        assert section["machine"]["cores"] >= 1
        assert section["versions"]["torch"] == torch.__version__
    for variant in results["training"]["variants"].values():
        assert all(value["median"] > 0 for value in variant.values())
    assert sum(
        v["median"]
        for k, v in results["profile"]["variants"]["ours_bf16"].items()
        if k != "step_seconds"
    ) == pytest.approx(1, abs=1e-4)  # times to the microsecond
    assert not results["stages"]["variants"]["split"]["loads_torch"]


def test_the_page_and_the_figure_are_of_the_results(quick: Path) -> None:
    assert_agree(quick)
    text = (quick / "README.md").read_text()
    assert "its figures mean nothing" in text
    results = read_results(quick)
    for judged in goals.judge(results):
        assert judged.goal.what in text


def test_what_is_committed_agrees() -> None:
    assert_agree(FOLDER)
    assert not any(section["quick"] for section in read_results(FOLDER).values())


def test_the_readme_has_the_measured_speeds() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    variants = read_results(FOLDER)["training"]["variants"]
    for name in ("trainer_fp32", "trainer_bf16", "ours_fp32", "ours_bf16"):
        speed, ratio = (
            middle(variants[name][key]) for key in ("tokens_per_second", "over_trainer_fp32")
        )
        assert f"| {speed:,.0f} | {float(f'{ratio:.2g}'):g} |" in readme, name


def assert_agree(folder: Path) -> None:
    results = read_results(folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == page.render(results)
    with Image.open(io.BytesIO((folder / "figure.png").read_bytes())) as picture:
        assert picture.info[figure.SOURCE] == figure.source_of(results)


def test_a_section_alone_leaves_the_others(quick: Path, tmp_path: Path) -> None:
    before = read_results(quick)
    (tmp_path / FILE).write_text((quick / FILE).read_text())
    command.main(["gpu", "--quick", "--sample", "--output", str(tmp_path)])
    after = read_results(tmp_path)
    assert {n: s for n, s in after.items() if n != "gpu"} == {
        n: s for n, s in before.items() if n != "gpu"
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["trainings"], "no section trainings; there are training, inf"), (["--repeats", "0"], "1")],
)
def test_a_wrong_call_says_what_is_wrong(arguments: list[str], says: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=says):
        command.main([*arguments, "--output", str(tmp_path)])


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
    assert forward_flops(lengths, Shape(3, 32, 48)) == counted


def test_operations_needed_leave_out_most_of_the_last_layer() -> None:
    lengths = [300] * 16
    share = forward_flops_needed(lengths, Shape()) / forward_flops(lengths, Shape())
    assert 5 / 6 < share < 0.9  # five layers of six, and the keys and values of the last


def test_a_spread_and_an_exponent() -> None:
    assert spread([3, 1, 2]) == {"median": 2, "low": 1, "high": 3, "repeats": 3}
    assert power_law([1, 2, 4, 8], [3, 6, 12, 24]) == pytest.approx(1)
    assert power_law([1, 2, 4, 8], [5, 20, 80, 320]) == pytest.approx(2)


@pytest.mark.parametrize("rows", [300, 1000, 2500])
def test_multiples_repeat_no_text_and_keep_the_labels(rows: int, tmp_path: Path) -> None:
    source, target = sample_inputs().test, tmp_path / "reviews.parquet"
    write_multiple(str(source), rows, str(target))
    table = pq.read_table(target)
    texts = table["text"].to_pylist()
    originals = pq.read_table(source)["text"].to_pylist()
    repeated = len(originals) - len(set(originals))
    assert len(texts) == rows
    assert len(texts) - len(set(texts)) <= repeated * -(-rows // len(originals))
    assert 0.4 < sum(table["label"].to_pylist()) / rows < 0.6
    assert texts[:20] != originals[:20]


def test_variants_on_other_batches_are_not_compared() -> None:
    def outcome(*lengths: int) -> Outcome:
        return Outcome({"lengths": list(lengths)}, 0, 0, 0)

    assert same_lengths({"a": [outcome(1, 2)], "b": [outcome(1, 2)]}) == [1, 2]
    with pytest.raises(BenchmarkError, match="the same batches"):
        same_lengths({"a": [outcome(1, 2)], "b": [outcome(2, 1)]})


def test_a_task_that_fails_says_why(tmp_path: Path) -> None:
    task = Task("prepare:shorten", {"folder": str(tmp_path), "letters": 3}, tmp_path)
    with pytest.raises(BenchmarkError, match="unexpected keyword argument 'letters'"):
        run_each([task], shared=False)


def test_memory_is_seen_from_outside(tmp_path: Path) -> None:
    taken = 300
    task = Task("prepare:hold_memory", {"mib": taken}, tmp_path)
    outcome = run_each([task], shared=False)[0]
    assert taken < outcome.anonymous_mib < taken + 200
    assert outcome.resident_mib > taken


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [(spread([5.5]), "met"), (spread([4.4, 3, 5]), "missed by 20%"), (None, "not measured")],
)
def test_a_goal_is_met_or_missed_by_so_much(measured: Any, verdict: str) -> None:
    judged = goals.Judged(goals.GOALS[0], measured)
    assert (judged.verdict, judged.met) == (verdict, None if measured is None else verdict == "met")


def test_the_profile_knows_what_is_ours() -> None:
    known = own_functions()
    assert "attention" in {known[name] for name in known if name.endswith("Backward")}
    assert set(known.values()) == {"attention", "dropout masks", "layer norm and residual"}


def test_recipes_take_the_steps_that_their_cards_have() -> None:
    steps = [gpu.card_facts(name)["steps"] for name in gpu.CARDS]
    assert steps == [2814, 9375, 4689, 3750, 7815]


def test_reviews_are_the_real_ones_where_they_are(
    mirror: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, str(mirror))
    assert find_inputs().name == "IMDb"
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path))
    assert find_inputs().name == "the embedded sample"
