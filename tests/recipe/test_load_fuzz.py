"""Any value of any key: a list of faults or a recipe that can be run, never another error."""

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cardproof.model.devices import Device
from cardproof.recipe.faults import RecipeError
from cardproof.recipe.load import RawFiles, resolve
from cardproof.recipe.schema import Recipe
from cardproof.recipe.yaml_files import read_yaml
from cardproof.training.trainer import training_arguments
from tests.recipe.files import raw_files

RAW = dataclasses.asdict(raw_files())
CPU = Device("cpu", "fp32", "fp32", "")

Path_ = tuple[str | int, ...]


def paths(value: object, path: Path_ = ()) -> list[Path_]:
    """Every key of a nested structure, sections before what is in them."""
    found = [path] if path else []
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        found += paths(inner, (*path, key))
    return found


# A file that is no mapping is refused as it is read.
PATHS = [p for p in paths(RAW) if len(p) > 1 and not (p[0] == "cards" and len(p) == 2)]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 1, 2**31, 2**32, 2**64, 10**400])
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["", "all", "none", "test", "XX.XX%", "1e5", "94%", "${card}", "../x", "\x00"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


def holder_of(raw: Any, path: Path_) -> Any:
    for key in path[:-1]:
        raw = raw[key]
    return raw


def resolved(raw: dict[str, Any]) -> Recipe | None:
    """The recipe, or None if there are faults; what can be run is taken as far as it is cheap."""
    try:
        recipe = resolve(RawFiles(**raw))
    except RecipeError as error:
        assert error.faults
        assert all("\n" not in fault for fault in error.faults)
        return None
    training_arguments(recipe.train, recipe.evaluate.batch_size, CPU, True, Path("unused"))
    assert recipe.card.title
    return recipe


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(PATHS), value=VALUES)
@example(path=("params", "train", "learning_rate"), value=10**400)
@example(path=("params", "data"), value={"\n": None})
@example(path=("params", "data"), value={"int": None})
@example(path=("cards", "template", "inferred"), value={"split.seed": {"value": [], "reason": "x"}})
@example(path=("defaults", "claims"), value={})
@example(path=("cards", "sample", "claims", "accuracy"), value="about 94")
def test_any_value_of_any_key(path: Path_, value: object) -> None:
    raw = copy.deepcopy(RAW)
    holder_of(raw, path)[path[-1]] = value
    resolved(raw)


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from([p for p in PATHS if isinstance(p[-1], str)]),
    card=st.sampled_from(list(RAW["cards"])),
)
def test_any_key_left_out(path: Path_, card: str) -> None:
    raw = copy.deepcopy(RAW)
    raw["params"]["card"] = card
    del holder_of(raw, path)[path[-1]]
    resolved(raw)


@settings(max_examples=300, deadline=None)
@given(
    card=st.sampled_from(list(RAW["cards"])),
    overrides=st.dictionaries(
        st.sampled_from(
            [
                p
                for p in PATHS
                if len(p) == 3
                and p[:1] == ("params",)
                and p[1] in ("data", "split", "train", "tokenize", "evaluate")
            ]
        ),
        SCALARS,
        max_size=4,
    ),
)
def test_any_override_of_any_card(card: str, overrides: dict[Path_, object]) -> None:
    raw = copy.deepcopy(RAW)
    raw["params"]["card"] = card
    for path, value in overrides.items():
        holder_of(raw, path)[path[-1]] = value
    recipe = resolved(raw)
    if recipe is not None:
        stated = {d.key for d in recipe.deviations}
        assert stated <= {".".join(map(str, p[1:])) for p, v in overrides.items() if v is not None}


@settings(max_examples=200, deadline=None)
@given(
    content=st.binary(max_size=200)
    | st.text(max_size=200).map(lambda t: t.encode(errors="surrogatepass"))
)
@example(content=b"a: &a [*a]")
@example(content=b"card: !!python/object/apply:os.system [true]")
@example(content=b"? [a]\n: b")
@example(content=b"[" * 5000)
@example(content=b"card: sample\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n")
@example(content=b"a: " + b"9" * 5000)
@example(content=b"a: 0x" + b"f" * 5000)
def test_any_bytes_as_the_file(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_bytes(content)
    try:
        params = read_yaml(path)
    except ValueError:
        return
    assert resolved(copy.deepcopy(RAW) | {"params": params}) is None
