"""The YAML block at the head of a card, also where it is broken or has lost its line breaks."""

import re
from collections.abc import Iterator, Mapping
from itertools import accumulate, islice
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cardproof.audit.facts import Claim, FrontMatter, Quote
from cardproof.audit.vocabulary import metric_entry, split_in, text_of

_LARGEST = 256 * 1024  # characters: more than the largest lists of benchmarks; parsed in 2 s
_DEEPEST = 100  # brackets
_MOST = 100  # entries of one list: no card has as many, and aliases can make lists endless
_OPENING = re.compile(r"\s{0,100}---\s")
_CLOSING = re.compile(r"(?<=\s)---(?=\s|$)")
_BRACKET = re.compile(r"[\[\]{}]")
_MERGE = re.compile(r"<<\s{0,9}:")
_KEYS = (
    "base_model", "base_model_relation", "datasets", "eval_results", "inference", "language",
    "library_name", "license", "license_name", "license_link", "metrics", "model-index",
    "model_name", "new_version", "pipeline_tag", "tags", "thumbnail", "widget",
)  # fmt: skip
_KEY = re.compile(rf"(?:^|(?<=\s))({'|'.join(_KEYS)}):(?=\s|$)")
_FLAT_SPLIT = re.compile(r"\bsplit: {1,3}([\w+:%\[\].-]{1,40})")
_FLAT_METRIC = re.compile(
    r"\btype: {1,3}([\w-]{1,30}) {1,3}value: {1,3}(\d[\d.]{0,30})"
    r"|\bvalue: {1,3}(\d[\d.]{0,30}) {1,3}(?:name: [\w -]{1,30} )?type: {1,3}([\w-]{1,30})"
)


def split_document(text: str) -> tuple[str | None, int, bool]:
    """Find the front matter.

    Returns:
        The block (None if there is none), where the body begins, and whether the block is closed.
    """
    opening = _OPENING.match(text)
    if not opening:
        return None, 0, False
    closing = _CLOSING.search(text, opening.end(), opening.end() + _LARGEST)
    if closing:
        return text[opening.end() : closing.start()], closing.end(), True
    # Not closed: up to the first heading, which no YAML block has at a line's start but a comment.
    heading = text.find("\n# ", opening.end(), opening.end() + _LARGEST)
    end = heading if heading >= 0 else min(len(text), opening.end() + _LARGEST)
    return text[opening.end() : end], end, False


def read_front_matter(
    block: str | None, *, closed: bool
) -> tuple[FrontMatter, tuple[Claim, ...], tuple[Quote, ...]]:
    """Read the block.

    Returns:
        The metadata, the figures of its model-index, and the splits that it names.
    """
    if block is None:
        return FrontMatter("absent"), (), ()
    data, detail = _parse(block)
    state = "parsed"
    if data is None:
        data = _by_keys(block)
        state = "flattened" if data and "\n" not in block.strip() else "broken"
    if not closed:
        state, detail = "broken", "its closing --- is missing"
    results = list(_results(data))
    claims = tuple(claim for result in results for claim in _claims(result, len(results) > 1))
    splits = tuple(Quote(split, 1) for result in results if (split := _split_name(result)))
    front_matter = FrontMatter(
        state=state,  # type: ignore[arg-type]  # one of the four, all set above
        detail="" if state in ("parsed", "flattened") else detail,
        licence=next(iter(_texts(data.get("license"))), None),
        base_models=_texts(data.get("base_model")),
        datasets=_texts(data.get("datasets")) or _dataset_names(results),
        pipeline_tag=next(iter(_texts(data.get("pipeline_tag"))), None) or _task_type(results),
    )
    return front_matter, claims, splits


def _parse(block: str) -> tuple[Mapping[str, Any] | None, str]:
    """The block as YAML, or None and what is wrong with it.

    With ruamel's parser in Python: PyYAML's in C ends the process on 64,000 opening brackets.
    """
    if _depth(block) > _DEEPEST:
        return None, "nested too deeply"
    if _MERGE.search(block):  # a few nested ones can fill any memory
        return None, "it merges keys (<<), which is not read here"
    try:
        data = YAML(typ="safe", pure=True).load(block)
    # ruamel passes on what the constructors of numbers and dates raise: all of it is the block's
    # fault, and none may end the audit.
    except (YAMLError, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        return None, str(error).strip().partition("\n")[0]
    except RecursionError:
        return None, "nested too deeply"
    return (data, "") if isinstance(data, Mapping) else (None, "it is no mapping of keys to values")


def _depth(block: str) -> int:
    """The deepest nesting of brackets, those in quotes counted too."""
    steps = (1 if match[0] in "[{" else -1 for match in _BRACKET.finditer(block))
    return max(accumulate(steps), default=0)


def _by_keys(block: str) -> dict[str, Any]:
    """Cut a block at the keys that cards use, for one that is not YAML (any more)."""
    marks = list(islice(_KEY.finditer(block), _MOST))
    if not marks:
        return {}
    ends = [mark.start() for mark in marks[1:]] + [len(block)]
    data: dict[str, Any] = {}
    for mark, end in zip(marks, ends, strict=True):
        value = block[mark.end() : end].strip()
        if mark[1] == "model-index":
            # Its inner keys are keys of the block too (metrics): look for its figures everywhere.
            data[mark[1]] = [{"results": _flat_results(block)}]
        elif value.startswith("- "):
            data[mark[1]] = [part.strip() for part in re.split(r"\s- |^- ", value) if part.strip()]
        else:
            data[mark[1]] = value.split("\n")[0]
    return data


def _flat_results(value: str) -> list[dict[str, Any]]:
    """The metrics of a model-index without line breaks."""
    flat = " ".join(value.split())
    metrics = [
        {"type": match[1] or match[4], "value": match[2] or match[3]}
        for match in islice(_FLAT_METRIC.finditer(flat), _MOST)
    ]
    split = _FLAT_SPLIT.search(flat)
    dataset = {"split": split[1]} if split else {}
    return [{"dataset": dataset, "metrics": metrics}] if metrics or split else []


def _list(value: Any) -> list[Any]:
    return value[:_MOST] if isinstance(value, list) else []


def _texts(value: Any) -> tuple[str, ...]:
    """A text or a list of texts, as texts."""
    values = value[:_MOST] if isinstance(value, list) else [value]
    return tuple(text for one in values if isinstance(one, str) and (text := one.strip()[:200]))


def _results(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The results of all models in the model-index."""
    models = (model for model in _list(data.get("model-index")) if isinstance(model, Mapping))
    results = (result for model in models for result in _list(model.get("results")))
    return islice((result for result in results if isinstance(result, Mapping)), _MOST)


def _dataset(result: Mapping[str, Any]) -> Mapping[str, Any]:
    dataset = result.get("dataset")
    return dataset if isinstance(dataset, Mapping) else {}


def _dataset_names(results: list[Mapping[str, Any]]) -> tuple[str, ...]:
    names = (_texts(_dataset(result).get(key)) for result in results for key in ("type", "name"))
    return tuple(dict.fromkeys(name for found in names for name in found))


def _task_type(results: list[Mapping[str, Any]]) -> str | None:
    tasks = (result.get("task") for result in results)
    types = (task.get("type") for task in tasks if isinstance(task, Mapping))
    return next((kind for kind in types if isinstance(kind, str)), None)


def _split_name(result: Mapping[str, Any]) -> str | None:
    return next(iter(_texts(_dataset(result).get("split"))), None)


def _claims(result: Mapping[str, Any], several: bool) -> Iterator[Claim]:
    """The figures of one result; of a data set each, if there are several results."""
    dataset, split = _dataset(result), split_in(_split_name(result) or "")
    subject = None
    if several:
        parts = (text_of(dataset.get(key)) for key in ("name", "config", "split"))
        subject = " ".join(part for part in parts if part) or None
    for entry in _list(result.get("metrics")):
        if isinstance(entry, Mapping):
            read = metric_entry(entry)
            if read:
                metric, average, printed = read
                # The hub's own evaluation, which is another than the one that the text speaks of.
                of = "verified by the hub" if entry.get("verified") is True else subject
                yield Claim(metric, printed, "metadata", 1, average, split, of)
