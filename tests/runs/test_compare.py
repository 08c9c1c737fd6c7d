"""Runs side by side: the pure parts with made-up runs, and the command on real ones."""

import csv
import hashlib
import io
import json
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy import stats

from cardproof.cli.compare import main
from cardproof.evaluation.statistics import holm
from cardproof.pages import comparison_tables as tables
from cardproof.pages.comparison import headline, render_markdown, render_page, write_comparison
from cardproof.pages.comparison_figure import draw, published
from cardproof.pages.comparison_tables import Comparison
from cardproof.pages.comparison_text import render_text
from cardproof.recipe.load import resolve
from cardproof.runs.groups import Group, group_runs
from cardproof.runs.paired import Pair, compare_groups
from cardproof.runs.reading import LeftOut, Run, Scored, UnavailableError, read_current_run
from tests.conftest import Run as RunCommand
from tests.recipe.files import raw_files, recipe_of


def made_run(
    name: str,
    accuracy: float = 0.9,
    right: NDArray[np.bool_] | None = None,
    rows: str = "a",
    code: dict[str, str] | None = None,
    **overrides: object,
) -> Run:
    """A run with made-up figures; `right` marks the scored rows it has right.

    Overrides are those of `raw_files`: `train__seed=1` is train.seed, `card="grojeda"` the card.
    """
    if right is not None:
        accuracy = float(right.mean())
    figures = {"accuracy": accuracy, "loss": 0.3, "f1_binary": accuracy}
    scored = None
    if right is not None:
        what = f"{len(right):,} test rows of {rows}"
        places = np.arange(len(right))
        scored = Scored(rows, what, right, places, np.zeros_like(places))
    return Run(
        name=name,
        commit="0" * 40,
        recipe=resolve(raw_files(**overrides)),
        metrics={f"evaluate.{key}": value for key, value in figures.items()},
        provenance={"precision": "fp32"},
        code=code or {"cardproof/training/trainer.py": "1"},
        scored=scored,
    )


RECIPE = recipe_of()


def marks(share: float, rows: int = 200, seed: int = 0) -> NDArray[np.bool_]:
    """Rows of which a share is right, in an order of its own for each seed."""
    order = np.random.default_rng(seed).permutation(rows)
    return np.asarray(order < round(share * rows))


def compared(*runs: Run, left_out: tuple[LeftOut, ...] = ()) -> Comparison:
    grouping = group_runs(runs)
    return Comparison(grouping, compare_groups(grouping.groups), left_out)


def only_pair(*runs: Run) -> Pair:
    (pair,) = compared(*runs).paired.pairs
    return pair


# Reading a run out of files


def files(**replaced: bytes | None) -> dict[str, bytes]:
    """The files of a finished run; `replaced` by path with / as __ and . as _dot_, None: absent."""
    split = {"train_rows": 1800, "test_rows": 4}
    evaluate = {"rows": 4, "accuracy": 0.75, "loss": 0.5, "f1_binary": 0.8}
    table = pa.table(
        {
            "row": [0, 1, 2, 3],
            "label": [0, 0, 1, 1],
            "logit_negative": [1.0, -1.0, -1.0, -1.0],
            "logit_positive": [-1.0, 1.0, 1.0, 1.0],
            "other": ["x"] * 4,
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    present: dict[str, bytes | None] = {
        "params.yaml": PARAMS,
        "data/recipe/report.json": recipe_of().model_dump_json().encode(),
        "data/recipe/train.json": b"{}",
        "dvc.lock": lock(),
        "metrics/split.json": json.dumps(split).encode(),
        "metrics/tokenize.json": b"{}",
        "metrics/train.json": json.dumps({"steps": 450}).encode(),
        "metrics/evaluate.json": json.dumps(evaluate).encode(),
        "metrics/evaluate_time.json": b"{}",
        "model/training.json": b'{"precision": "fp32"}',
        "data/predictions/test.parquet": buffer.getvalue(),
    }
    named = {k.replace("__", "/").replace("_dot_", "."): v for k, v in replaced.items()}
    return {k: v for k, v in (present | named).items() if v is not None}


PARAMS = b"card: sample"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def lock(params: bytes = PARAMS, train: bytes = b"{}", model: str = "m") -> bytes:
    """A dvc.lock; `params` and `train` are the files that download and train ran on."""
    code = {"path": "cardproof/training/trainer.py", "md5": "1"}
    recipe = {"path": "data/recipe/train.json", "md5": md5(train)}
    report = [{"path": "cardproof/claims/judge.py", "md5": "9"}]
    stages = {
        "download": {"deps": [{"path": "params.yaml", "md5": md5(params)}]},
        "train": {"deps": [code, recipe], "outs": [{"path": "model", "md5": "m"}]},
        "evaluate": {"deps": [{"path": "model", "md5": model}]},
        "report": {"deps": [*report, {"path": "data/recipe/report.json", "md5": "another"}]},
    }
    return json.dumps({"schema": "2.0", "stages": stages}).encode()  # JSON is YAML


def read(**replaced: bytes | None) -> Run | LeftOut:
    present = files(**replaced)

    def content(path: str) -> bytes:
        if path not in present:
            raise UnavailableError(f"{path} is not there")
        return present[path]

    return read_current_run("a-run", "0" * 40, content)


def read_whole(**replaced: bytes | None) -> Run:
    run = read(**replaced)
    assert isinstance(run, Run), run.reason
    return run


def left_out(**replaced: bytes | None) -> str:
    found = read(**replaced)
    assert isinstance(found, LeftOut)
    return found.reason


def test_a_run_is_read_with_its_figures_its_code_and_its_rows() -> None:
    run = read_whole()
    assert run.metrics["evaluate.accuracy"] == 0.75
    assert run.metrics["train.steps"] == 450
    assert (run.seed, run.precision, run.remarks) == (42, "fp32", ())
    assert run.code == {"cardproof/training/trainer.py": "1"}  # not the code that only judges
    assert run.scored
    assert run.scored.right.tolist() == [True, False, True, True]
    assert run.scored.what == "4 test rows of sample"


def test_what_is_missing_is_named_and_not_fatal() -> None:
    run = read_whole(data__predictions__test_dot_parquet=None, model__training_dot_json=None)
    assert (run.scored, run.precision) == (None, None)
    assert "data/predictions/test.parquet is not there: no paired test" in run.remarks
    assert any("model/training.json" in remark for remark in run.remarks)
    assert "metrics/train.json is not there" in read_whole(metrics__train_dot_json=None).remarks
    nan = b'{"accuracy": 0.75, "loss": NaN}'
    assert read_whole(metrics__evaluate_dot_json=nan).remarks == (
        "metrics/evaluate.json: loss: no finite number",
    )
    for content in (b"PAR1", b"", files()["data/predictions/test.parquet"][:-9]):
        remarks = read_whole(data__predictions__test_dot_parquet=content).remarks
        assert remarks == ("data/predictions/test.parquet is of another version: no paired test",)


def test_files_of_another_version_are_left_out_with_the_reason() -> None:
    reason = left_out(data__recipe__report_dot_json=b'{"name": "sample"}')
    assert reason == "its data/recipe/report.json is of another version"
    assert left_out(data__recipe__report_dot_json=None) == "data/recipe/report.json is not there"
    assert left_out(dvc_dot_lock=b"[1") == "its dvc.lock is not readable as YAML"
    assert left_out(dvc_dot_lock=b"- 1") == "its dvc.lock holds no mapping of keys"
    assert left_out(dvc_dot_lock=None) == "dvc.lock is not there"
    assert "nothing was scored" in left_out(metrics__evaluate_dot_json=None)
    assert "nothing was scored" in left_out(metrics__evaluate_dot_json=b"[]")


def test_figures_of_another_run_than_the_files_say_are_left_out() -> None:
    reason = left_out(dvc_dot_lock=lock(params=b"card: grojeda"))
    assert "params.yaml was changed after it" in reason
    assert "dvc repro" in reason
    reason = left_out(dvc_dot_lock=lock(train=b"other"))
    assert "train did not run on the data/recipe/train.json" in reason
    assert "evaluate did not run on the model" in left_out(dvc_dot_lock=lock(model="another"))


def test_where_the_metrics_are_not_in_the_cache_the_summary_is_read() -> None:
    names = ("split", "tokenize", "train", "evaluate", "evaluate_time")
    without: dict[str, bytes | None] = {f"metrics__{name}_dot_json": None for name in names}
    summary = b'{"accuracy": 0.75, "verdict": "higher", "loss": 0.5, "f1": 0.8, "steps": 450}'
    run = read_whole(**without, metrics__summary_dot_json=summary)
    assert run.metrics == {
        "evaluate.accuracy": 0.75, "evaluate.loss": 0.5, "evaluate.f1_binary": 0.8,
        "train.steps": 450,
    }  # fmt: skip
    assert "metrics/summary.json" in run.remarks[0]
    assert "nothing was scored" in left_out(**without)
    # On another machine a run has the same split and another evaluation.
    run = read_whole(metrics__evaluate_dot_json=None, metrics__summary_dot_json=summary)
    assert run.metrics["evaluate.accuracy"] == 0.75
    assert run.metrics["split.train_rows"]


def test_logits_that_contradict_the_metrics_are_not_paired() -> None:
    run = read_whole(metrics__evaluate_dot_json=b'{"accuracy": 0.5}')
    assert run.scored is None
    assert "another accuracy" in run.remarks[0]


def test_rows_are_the_same_only_with_the_same_numbers_labels_and_reviews() -> None:
    def rows(column: str, values: list[int]) -> str:
        table = pq.read_table(io.BytesIO(files()["data/predictions/test.parquet"]))
        at = table.column_names.index(column)
        buffer = io.BytesIO()
        pq.write_table(table.set_column(at, column, pa.array(values)), buffer)
        figures = json.dumps({"loss": 0.5}).encode()
        run = read_whole(
            data__predictions__test_dot_parquet=buffer.getvalue(),
            metrics__evaluate_dot_json=figures,
        )
        assert run.scored
        return run.scored.rows

    assert rows("row", [0, 1, 2, 3]) == rows("label", [0, 0, 1, 1])
    assert rows("row", [0, 1, 2, 4]) != rows("row", [0, 1, 2, 3])
    assert rows("label", [0, 1, 1, 1]) != rows("label", [0, 0, 1, 1])


# Groups


def test_runs_that_differ_in_their_seed_only_are_one_group() -> None:
    runs = [made_run(f"seed-{s}", 0.8 + s / 100, train__seed=s) for s in (3, 1, 2)]
    runs.append(made_run("other", train__seed=1, train__epochs=1))
    groups = group_runs(runs).groups
    assert [group.label for group in groups] == [
        "Embedded sample",
        "Embedded sample, train.epochs=1",
    ]
    assert groups[0].seeds == [1, 2, 3]
    summary = groups[0].summary("evaluate.accuracy")
    assert summary
    assert summary.n == 3
    assert tables.mean_and_sd(summary) == "0.8200 ± 0.0100"


def test_a_label_names_card_and_deviations() -> None:
    overrides: dict[str, Any] = {"model__base": "minilm", "data__limit": 2000}
    run = made_run(
        "x", card="grojeda", train__betas=[0.9, 0.99], train__load_best=False, **overrides
    )
    (group,) = group_runs([run]).groups
    assert group.label == (
        "grojeda, data.limit=2000, model.base=minilm, train.betas=[0.9,0.99], train.load_best=false"
    )


def test_one_run_under_several_names_counts_once() -> None:
    right = marks(0.9)
    runs = [made_run("HEAD", 0.9), made_run("named", right=right), made_run("workspace", 0.9)]
    grouping = group_runs(runs)
    assert [run.name for run in grouping.groups[0].runs] == ["named"]  # it has the logits
    assert grouping.same == [
        "HEAD is the same run as named",
        "workspace is the same run as named",
    ]


def test_a_seed_run_twice_with_other_figures_is_no_further_seed() -> None:
    grouping = group_runs([made_run("here", 0.9), made_run("there", 0.91)])
    assert [run.name for run in grouping.groups[0].runs] == ["here"]
    (out,) = grouping.left_out
    assert out.name == "there"
    assert "a repeat is not another seed" in out.reason


def test_other_code_is_no_repeat_and_is_told_apart() -> None:
    newer = made_run("newer", 0.91, code={"cardproof/training/trainer.py": "2"}, train__seed=1)
    grouping = group_runs([made_run("older", 0.9), newer])
    assert sorted(group.label for group in grouping.groups) == [
        "Embedded sample",
        "Embedded sample, as of newer",
    ]
    (note,) = grouping.notes
    assert "cardproof/training/trainer.py" in note


def test_what_a_device_forces_on_a_run_makes_another_group() -> None:
    wanted = made_run("x", card="deepaxion")
    (group,) = group_runs([wanted]).groups
    assert group.label == "DeepAxion, in fp32"
    claim = group.claim("accuracy")
    assert claim
    assert claim.verdict.word == "not comparable"


def test_runs_judged_by_different_claims_are_said_to_be() -> None:
    raw = raw_files(train__seed=2)
    raw.cards["sample"]["claims"]["accuracy"] = "0.5"
    other = made_run("b", train__seed=2)
    other = Run(**{**vars(other), "recipe": resolve(raw)})
    assert "judged by those of a" in group_runs([made_run("a", train__seed=1), other]).notes[0]


def test_deviations_of_all_groups_are_named_once() -> None:
    runs = [made_run(f"e{e}", train__epochs=e, data__limit=60) for e in (1, 3)]
    grouping = group_runs(runs)
    labels = [group.label for group in grouping.groups]
    assert grouping.shared == ["data.limit=60"]
    assert sorted(labels) == ["Embedded sample, train.epochs=1", "Embedded sample, train.epochs=3"]
    assert tables.main_table(grouping).caption.startswith("All with data.limit=60. ")
    (alone,) = group_runs(runs[:1]).groups
    assert alone.label == "Embedded sample, data.limit=60, train.epochs=1"
    with_recipe = group_runs([*runs, made_run("plain")])
    assert with_recipe.shared == []
    assert [group.label.count("data.limit=60") for group in with_recipe.groups] == [0, 1, 1]


def test_missing_figures_are_counted() -> None:
    runs = [made_run(f"seed-{s}", right=marks(0.9, seed=s), train__seed=s) for s in range(4)]
    metrics = {k: v for k, v in runs[0].metrics.items() if k != "evaluate.loss"}
    without = [Run(**{**vars(r), "metrics": metrics, "scored": None}) for r in runs[:2]]
    (group,) = group_runs([*without, *runs[2:]]).groups
    assert tables.missing_figures(group) == ["2 of 4 runs without loss, logits"]
    rows = tables.group_rows([group])
    assert [row["n"] for row in rows if row["figure"] in ("loss", "accuracy")] == [4, 2]
    bare = group_runs([Run(**{**vars(runs[0]), "metrics": {}})])
    assert tables.main_table(bare).rows[0][2] == "-"
    assert draw(bare.groups) is None


# Paired tests


def test_shared_seeds_are_paired_and_rows_and_seeds_are_one_interval() -> None:
    # seeds differ a lot, the groups by the same 7 points or so in each: only pairing shows it
    shares = {1: 0.60, 2: 0.70, 3: 0.80, 4: 0.90}
    gains = {1: 0.07, 2: 0.06, 3: 0.09, 4: 0.07}
    first = {s: marks(x + gains[s], 1000) for s, x in shares.items()}
    other = {s: marks(x, 1000) for s, x in shares.items()}
    pair = only_pair(
        *(made_run(f"a-{s}", right=r, train__seed=s) for s, r in first.items()),
        *(made_run(f"b-{s}", right=r, train__seed=s, train__epochs=1) for s, r in other.items()),
        made_run("a-9", right=marks(0.1, 1000), train__seed=9),  # has no partner
    )
    assert pair.by_seed
    assert (pair.runs_a, pair.runs_b) == (4, 4)
    assert pair.difference == pytest.approx(0.0725)
    difference = np.stack([*first.values()]).astype(int) - np.stack([*other.values()])
    rows = difference.mean(axis=0).var(ddof=1) / 1000
    assert pair.parts[0] == pytest.approx((rows, 999), rel=0.08)  # two rows more
    by_hand = 0.012583**2 / 4  # 7, 6, 9 and 7 points
    assert pair.parts[1] == pytest.approx((by_hand, 3), rel=1e-4)
    halves = [stats.t.ppf(0.975, part.df) * part.variance**0.5 for part in pair.parts]
    assert pair.interval.high == pytest.approx(0.0725 + np.hypot(*halves))
    at_p = [stats.t.ppf(1 - pair.p / 2, part.df) * part.variance**0.5 for part in pair.parts]
    assert np.hypot(*at_p) == pytest.approx(0.0725)
    assert (pair.p_holm < 0.05) == (pair.interval.low > 0)
    assert pair.said == "recipes differ"


def test_seeds_that_are_not_shared_add_their_variances() -> None:
    runs = {s: marks(0.9 + s / 200, seed=s) for s in (1, 2, 3, 4)}
    others = {s: marks(0.8 - s / 100, seed=10 + s) for s in (3, 2, 5)}
    pair = only_pair(
        *(made_run(f"a-{s}", right=r, train__seed=s) for s, r in runs.items()),
        *(made_run(f"b-{s}", right=r, train__seed=s, train__epochs=1) for s, r in others.items()),
    )
    assert not pair.by_seed  # seed 5 is in one group only
    assert (pair.runs_a, pair.runs_b) == (4, 3)
    for part, of in zip(pair.parts[1:], (runs, others), strict=True):
        variance = np.var([right.mean() for right in of.values()], ddof=1) / len(of)
        assert part == pytest.approx((variance, len(of) - 1))
    assert pair.error**2 == pytest.approx(sum(part.variance for part in pair.parts))


def test_a_single_seed_speaks_of_models_only() -> None:
    pair = only_pair(
        made_run("a", right=marks(0.95)), made_run("b", right=marks(0.6), train__epochs=1)
    )
    assert not pair.over_seeds
    assert pair.said == "these models differ"
    same = marks(0.9)
    equal = only_pair(made_run("a", right=same), made_run("b", right=same, train__epochs=1))
    assert (equal.difference, equal.p, equal.said) == (0, 1, "not shown")


@pytest.mark.parametrize(
    ("rows", "seeds", "shared"),
    [(100, 1, True), (1_000, 1, True), (100, 3, False), (1_000, 3, False), (1_000, 2, True),
     (1_000, 3, True), (5_000, 2, True), (5_000, 4, True)],
)  # fmt: skip
def test_recipes_that_do_not_differ_are_told_apart_at_most_at_the_level(
    rows: int, seeds: int, shared: bool
) -> None:
    """Rows that are hard or easy, seeds that are good or bad; no recipe is better."""
    random, studies = np.random.default_rng(rows), 400
    places, labels = np.arange(rows), np.zeros(rows, dtype=int)
    first = 0 if shared else seeds
    recipes = [recipe_of(train__seed=s) for s in range(first + seeds)]
    p_values = []
    for _ in range(studies):
        hard = random.normal(2, 2, rows)
        groups = [
            random.random((seeds, rows))
            < 1 / (1 + np.exp(-hard - random.normal(0, 0.2 if seeds > 1 else 0, (seeds, 1))))
            for _ in range(2)
        ]
        a, b = (
            Group(name, tuple(
                Run(f"{name}{s}", "", recipe, {}, scored=Scored("", "", right, places, labels))
                for s, (recipe, right) in enumerate(zip(trained, group, strict=True))
            ))
            for name, trained, group in zip(
                "ab", (recipes[:seeds], recipes[first:]), groups, strict=True
            )
        )  # fmt: skip
        (pair,) = compare_groups([a, b]).pairs
        assert pair.by_seed == (shared and seeds > 1)
        p_values.append(pair.p)
    for level in (0.05, 0.001):
        share = np.mean(np.array(p_values) < level)
        assert share <= level + 3 * (level * (1 - level) / studies) ** 0.5, level


def test_p_values_are_corrected_over_all_pairs() -> None:
    runs = [
        made_run(f"{e}-{s}", right=marks(0.9 - e / 40, seed=s), train__seed=s, train__epochs=e)
        for e in (1, 3, 4)
        for s in (1, 2, 5)
    ]
    pairs = compared(*runs).paired.pairs
    assert len(pairs) == 3
    assert [p.p_holm for p in pairs] == pytest.approx(holm([p.p for p in pairs]))


def test_pairs_are_written_as_plain_figures() -> None:
    a, b = (
        [made_run(f"{e}-{s}", right=marks(0.9 - e / 40, seed=s), train__seed=s, train__epochs=e)
         for s in (1, 2)]
        for e in (1, 3)
    )  # fmt: skip
    paired = compared(*a, *b).paired
    (row,), (pair,) = tables.pair_rows(paired), paired.pairs
    assert (row["runs_a"], row["difference"], row["shown"]) == (2, pair.difference, pair.said)
    assert (row["interval_low"], row["interval_high"]) == (pair.interval.low, pair.interval.high)
    assert all(isinstance(value, str | int | float) for value in row.values())


def test_different_rows_are_refused_and_said() -> None:
    comparison = compared(
        made_run("a", right=marks(0.9, 1000)),
        made_run("b", right=marks(0.9), rows="b", train__epochs=1),
        made_run("c", train__epochs=3),
    )
    assert comparison.paired.pairs == []
    said = tables.refusals(comparison.paired)
    assert any("scored on different rows: 1,000 test rows of a, and 200 test rows of b" in s
               for s in said)  # fmt: skip
    assert any("the logits of Embedded sample, train.epochs=3 are not available" in s for s in said)
    assert len(tables.pair_rows(comparison.paired)) == 3
    assert "No two groups could be paired" in render_markdown(comparison, None)


# On a terminal


def test_a_terminal_gets_short_names_with_a_legend_only_where_names_are_long() -> None:
    runs = [made_run(f"seed-{s}", right=marks(0.9, seed=s), train__seed=s) for s in (1, 2, 3)]
    long: dict[str, Any] = {"train__epochs": 1, "train__learning_rate": 0.001, "data__limit": 200}
    other = made_run("long", right=marks(0.7), train__seed=1, **long)
    comparison = compared(*runs, other, left_out=(LeftOut("waiting", "queued, not run yet"),))
    text = render_text(comparison)
    assert max(map(len, text.splitlines())) <= 100
    assert "B  Embedded sample, data.limit=200, train.learning_rate=0.001, train.epochs=1" in text
    assert "\nA \N{MINUS SIGN} B" in text
    assert text.count("train.learning_rate=0.001") == 1
    assert "- waiting: queued, not run yet" in text
    assert "|" not in text and "![" not in text
    assert text.count("not comparable. Our runs differ") == 1
    # three seeds beside one: what that shows is said once
    assert "these models differ" in text
    assert "Where a group has a single run, nothing is known of its other seeds" in " ".join(
        text.split()
    )
    short = render_text(compared(*runs))
    assert "Embedded sample      3" in short
    assert "A  " not in short


def test_reasons_are_a_list_of_what_was_judged_and_the_rest_is_said_once() -> None:
    changed = [made_run(f"e{s}", train__epochs=1, train__seed=s) for s in (1, 2)]
    text = render_markdown(compared(made_run("a"), *changed), None)
    items = [line for line in text.splitlines() if line.startswith("- ")]
    assert items[0].startswith("- Embedded sample, accuracy 0.8750: undecided. 0.9000 is our one")
    assert items[1].startswith("- Embedded sample, cross-entropy loss 0.3877: undecided. 0.3000")
    assert items[2] == (
        "- Embedded sample, train.epochs=1: not comparable. Our runs differ from the card's in "
        "train.epochs."
    )
    assert "differ from the card" not in "".join(items[3:])
    assert not any("is our one" in line for line in text.splitlines() if line.startswith("|"))


# 1 run, 200 runs, hostile names


def test_one_run_is_a_table_and_a_figure(tmp_path: Path) -> None:
    comparison = compared(made_run("alone", right=marks(0.9)))
    write_comparison(comparison, tmp_path)
    text = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert headline(comparison) == "1 run in 1 group."
    assert "There is one group: nothing to pair it with." in text
    assert "<svg" in (tmp_path / "comparison.svg").read_text()


def test_two_hundred_runs_in_seconds(tmp_path: Path) -> None:
    recipes = {e: made_run("x", train__epochs=e).recipe for e in range(1, 51)}
    runs = []
    for epochs, recipe in recipes.items():
        for seed in range(4):
            run = made_run("x", right=marks(0.7 + epochs / 250, 1000, seed))
            train = recipe.train.model_copy(update={"seed": seed})
            seeded = recipe.model_copy(update={"train": train})
            runs.append(Run(**{**vars(run), "name": f"e{epochs}-s{seed}", "recipe": seeded}))
    started = time.monotonic()
    comparison = compared(*runs)
    write_comparison(comparison, tmp_path)
    assert time.monotonic() - started < 20
    assert headline(comparison).startswith("200 runs in 50 groups.")
    assert len(comparison.paired.pairs) == 49
    scope = comparison.paired.scope
    assert "Of 1,225 pairs the 49 with the most accurate group" in scope
    assert "train.epochs=50" in scope
    with (tmp_path / "runs.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 200
    assert len(compare_groups(comparison.groups[:11], all_pairs=True).pairs) == 55


class _Elements(HTMLParser):
    """Collects each element's name and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>|$x$ `a` [b](http://c)\x1b[31m\n# d"
    raw = raw_files()
    raw.cards["sample"]["title"] = hostile
    run = made_run(f"{hostile}-1", right=marks(0.9))
    run = Run(**{**vars(run), "recipe": resolve(raw)})
    comparison = compared(
        run, made_run("b", right=marks(0.8), train__epochs=1), left_out=(LeftOut(hostile, hostile),)
    )
    write_comparison(comparison, tmp_path)
    markdown = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert "<script" not in markdown
    assert "\x1b" not in markdown
    assert "\n# d" not in markdown
    header, rule, *rows = [line for line in markdown.splitlines() if line.startswith("|")][:4]
    assert {line.replace("\\|", "").count("|") for line in (header, rule, *rows)} == {10}
    page = render_page(comparison, draw(comparison.groups))
    elements = _Elements()
    elements.feed(page)
    assert elements.tags.count("script") == 1  # the page's own
    assert all(link.startswith("#") for link in elements.links)  # marks of the figure
    assert "&lt;script&gt;" in page


def test_published_runs_stand_behind_runs_on_imdb_only() -> None:
    (sample,) = group_runs([made_run("a")]).groups
    assert published(sample) is None
    full = made_run("b", card="grojeda")
    rows = dict(full.metrics) | {"split.train_rows": 22_500}
    (grojeda,) = group_runs([Run(**{**vars(full), "metrics": rows})]).groups
    assert published(grojeda)
    (limited,) = group_runs(
        [Run(**{**vars(full), "metrics": rows | {"split.train_rows": 800}})]
    ).groups
    assert published(limited) is None
    assert "Shaded: published runs" in drawn(grojeda)
    assert drawn(sample) == drawn(limited) == "Accuracy of each group."


def drawn(group: Group) -> str:
    """What is said below the figure of one group."""
    drawing = draw([group])
    assert drawing
    return drawing.caption


# The command


# Runs and saves one experiment after another. DVC runs nothing here: it keeps what ran.
EXPERIMENTS = """
import runpy, subprocess, sys
from pathlib import Path
from dev.faults.copies import edit_params
for name, rate, seed in (("slow-1", 0.0001, 1), ("slow-2", 0.0001, 2), ("fast-1", 0.003, 1)):
    edit_params(Path(), {"train": {"learning_rate": rate, "seed": seed}})
    for stage in ("download", "train", "evaluate"):  # the report of each is not what is compared
        sys.argv = [f"stages.{stage}"]
        runpy.run_module(f"stages.{stage}", run_name="__main__")
    subprocess.run(["dvc", "commit", "--quiet", "--force"], check=True)
    subprocess.run(["dvc", "exp", "save", "--quiet", "--name", name], check=True)
"""


@pytest.fixture(scope="module")
def compared_runs(repository: Path, run: RunCommand) -> Path:
    """A copy with three finished experiments, two of one setting, and one that waits."""
    done = run("python", "-c", EXPERIMENTS, cwd=repository)
    assert done.returncode == 0, done.stderr[-3000:]
    waiting = ("dvc", "exp", "run", "--queue", "-n", "waiting", "-S", "train.seed=3")
    assert run(*waiting, cwd=repository).returncode == 0
    return repository


def state(folder: Path, run: RunCommand) -> list[str]:
    """What Git and DVC say of a folder."""
    commands = (
        ("git", "status", "--porcelain"),
        ("git", "rev-parse", "HEAD"),
        ("git", "for-each-ref"),
        ("git", "diff"),
    )
    return [run(*command, cwd=folder).stdout for command in commands]


@pytest.mark.slow
def test_experiments_are_compared_without_touching_the_workspace(
    compared_runs: Path, run: RunCommand
) -> None:
    before = state(compared_runs, run)
    done = run("python", "-m", "cardproof", "compare", cwd=compared_runs)
    assert done.returncode == 0, done.stderr
    assert state(compared_runs, run) == before
    folder = compared_runs / "comparison"
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "\nA  Embedded sample" in done.stdout
    with (folder / "comparison.csv").open() as file:
        groups = {row["group"]: row for row in csv.DictReader(file) if row["figure"] == "accuracy"}
    slow, fast = (
        groups[f"Embedded sample, data.limit=200, train.learning_rate={rate}, train.max_steps=12"]
        for rate in (0.0001, 0.003)
    )
    assert (slow["seeds"], fast["seeds"]) == ("1 2", "1")
    with (folder / "pairs.csv").open() as file:
        pairs = list(csv.DictReader(file))
    (tested,) = [pair for pair in pairs if pair["shown"] != "not tested"]
    assert tested["rows"] == "200 test rows of sample"
    assert {tested["runs_a"], tested["runs_b"]} == {"1", "2"}
    difference = abs(float(fast["mean"]) - float(slow["mean"]))
    assert abs(float(tested["difference"])) == pytest.approx(difference)
    assert {pair["reason"] for pair in pairs if pair["shown"] == "not tested"} == {
        "the logits of Embedded sample are not available"  # HEAD's are in nobody's cache here
    }
    assert "workspace is the same run as fast-1" in done.stdout
    assert "waiting: queued, not run yet" in done.stdout
    assert (folder / "comparison.svg").stat().st_size > 1000


@pytest.mark.slow
def test_names_are_taken_and_unknown_ones_refused_with_a_suggestion(
    compared_runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(compared_runs)
    folder = ["--out", str(tmp_path / "out")]
    assert main([*folder, "slow-1", "fast-1"]) == 0
    assert "these" in (text := capsys.readouterr().out) or "not shown" in text
    assert main([*folder, "slow-3"]) == 2
    assert "did you mean slow-" in capsys.readouterr().err
    assert main([*folder, "waiting"]) == 1
    assert "dvc queue start" in capsys.readouterr().err


@pytest.mark.slow
def test_make_table_puts_what_was_changed_first(compared_runs: Path, run: RunCommand) -> None:
    done = run("make", "--no-print-directory", "table", "READY=", cwd=compared_runs)
    assert done.returncode == 0, done.stderr
    header, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()
    )
    assert header[0] == "Experiment"
    assert {"train.learning_rate", "train.seed"} <= set(header[1:-3])
    assert all("." in name for name in header[1:-3])  # parameters, and nothing else
    assert header[-3:] == ["accuracy", "verdict", "loss"]
    (fast,) = (row for row in rows if "[fast-1]" in row[0])
    assert fast[header.index("train.learning_rate")] == "0.003"
    assert float(fast[-3]) <= 1


def test_outside_of_a_repository_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 2
    assert "not in a DVC repository" in capsys.readouterr().err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    assert "cardproof compare main" in capsys.readouterr().out
