"""The YAML block at the head of a card, also where it is broken or has lost its line breaks."""

import re
from collections.abc import Iterator, Mapping
from itertools import accumulate, islice
from typing import Any

import yaml

from cardproof.audit.facts import Claim, FrontMatter, Quote
from cardproof.audit.vocabulary import metric_entry, split_in, text_of

_LARGEST = 256 * 1024  # characters: more than the largest lists of benchmarks
_DEEPEST = 100  # brackets
_WIDEST = 1_000  # columns of an indent, each of which can open a level; the parser recurses
_MOST = 100  # entries of one list: no card has as many, and aliases can make lists endless
_OPENING = re.compile(r"\s{0,100}---\s")
_CLOSING = re.compile(r"(?<=\s)---(?=\s|$)")
_BRACKET = re.compile(r"[\[\]{}]")
_INDENT = re.compile(r"^[ ?:-]*", re.M)
_NO_MAPPING = "it is no mapping of keys to values"
_LINE = "line of the document"  # a key that no document has
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
    block: str | None, *, closed: bool, first_line: int = 1
) -> tuple[FrontMatter, tuple[Claim, ...], tuple[Quote, ...]]:
    """Read the block, which begins in the given line of the document.

    Returns:
        The metadata, the figures of its model-index, and the splits that it names.
    """
    if block is None:
        return FrontMatter("absent"), (), ()
    data, detail = _parse(block, first_line)
    state = "broken" if detail else "parsed"
    if data is None:
        data = _by_keys(block)
        state = "flattened" if data and "\n" not in block.strip() else "broken"
    if not closed:
        state, detail = "broken", "its closing --- is missing"
    results = list(_results(data))
    claims = tuple(
        claim
        for number, result in enumerate(results)
        for claim in _claims(result, number, several=len(results) > 1)
    )
    splits = tuple(
        Quote(split, result.get(_LINE, 1)) for result in results if (split := _split_name(result))
    )
    front_matter = FrontMatter(
        state=state,  # type: ignore[arg-type]  # one of the four, all set above
        detail="" if state in ("parsed", "flattened") else detail,
        licence=next(iter(_texts(data.get("license"))), None),
        base_models=_texts(data.get("base_model")),
        datasets=_texts(data.get("datasets")) or _dataset_names(results),
        pipeline_tag=next(iter(_texts(data.get("pipeline_tag"))), None) or _task_type(results),
    )
    return front_matter, claims, splits


def _parse(block: str, first_line: int) -> tuple[Mapping[str, Any] | None, str]:
    """The block as YAML, and what is wrong with it; None if it is none at all.

    Scalars stay the texts that they are, with their digits: 0.930 and no, which is Norwegian.
    """
    if _depth(block) > _DEEPEST or max(map(len, _INDENT.findall(block))) > _WIDEST:
        return None, "nested too deeply"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in Python where libyaml is missing
    try:
        data, problems = _plain(yaml.compose(block, Loader=loader), first_line, {})
    except yaml.YAMLError as error:
        return None, " ".join(str(getattr(error, "problem", None) or error).split())
    except ValueError as error:  # of odd characters
        return None, str(error).partition("\n")[0]
    except RecursionError:
        return None, "nested too deeply"
    return (data, next(iter(problems), "")) if isinstance(data, dict) else (None, _NO_MAPPING)


def _plain(node: yaml.Node | None, first_line: int, known: dict[int, Any]) -> tuple[Any, list[str]]:
    """A node as dicts, lists and texts, each node of aliases once, and the keys that repeat."""
    if node is None or id(node) in known:
        return known.get(id(node)), []
    problems: list[str] = []
    if isinstance(node, yaml.ScalarNode):
        blank = not node.style and node.value in ("", "~", "null", "Null", "NULL")
        known[id(node)] = None if blank else node.value
    elif isinstance(node, yaml.SequenceNode):
        known[id(node)] = items = []
        for item in node.value[:_MOST]:
            value, found = _plain(item, first_line, known)
            items.append(value)
            problems += found
    elif isinstance(node, yaml.MappingNode):
        known[id(node)] = mapping = {_LINE: first_line + node.start_mark.line}
        for key, item in node.value[: 10 * _MOST]:
            value, found = _plain(item, first_line, known)
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            problems += (
                [f"the key {name[:40]!r} stands twice", *found] if name in mapping else found
            )
            mapping.setdefault(name, value)
    return known[id(node)], problems


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


def _arguments(value: Any) -> str:
    """The arguments of a metric in words: they make two figures of one metric out of two."""
    if not isinstance(value, Mapping):
        return text_of(value)
    items = ((key, text_of(one)) for key, one in islice(value.items(), 10) if key != _LINE)
    return " ".join(f"{key[:40]} {text}" for key, text in items)


def _claims(result: Mapping[str, Any], number: int, *, several: bool) -> Iterator[Claim]:
    """The figures of one result; of a data set each, if there are several results."""
    dataset, named_split = _dataset(result), split_in(_split_name(result) or "")
    parts = (text_of(dataset.get(key)) for key in ("name", "config", "split"))
    subject = " ".join(filter(None, parts)) or None
    for entry in _list(result.get("metrics")):
        read = metric_entry(entry) if isinstance(entry, Mapping) else None
        if read:
            name, printed = read
            more = (name.subject, text_of(entry.get("config")), _arguments(entry.get("args")))
            own = " ".join(filter(None, more)) or None
            verified = str(entry.get("verified")).lower() == "true"
            yield Claim(
                name.metric,
                printed,
                "metadata",
                entry.get(_LINE, 1),
                name.average,
                name.split or named_split,
                own or (subject if several else None),
                f"metadata {number}" + (" verified" if verified else ""),
                verified,
                several and own is None,
            )
