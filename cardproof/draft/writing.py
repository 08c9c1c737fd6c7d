"""A draft as the text of its file."""

from collections.abc import Mapping, Sequence
from io import StringIO
from textwrap import wrap
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from cardproof.draft.drafting import Draft
from cardproof.recipe.schema import SECTIONS

_WIDTH = 100
_COLUMNS = "training loss, epoch, step, validation loss, accuracy"
_IN_ONE_LINE = ("split", "tokenize", "evaluate")


def as_yaml(draft: Draft) -> str:
    """The text of cards/<name>.yaml.

    All of the card's own words go through the YAML writer, none into a comment.
    """
    content = CommentedMap({key: _node(key, value) for key, value in draft.card.items()})
    for first in (SECTIONS, ("claims",), ("inferred", "assumed")):
        section = next((name for name in first if name in content), None)
        if section:
            content.yaml_set_comment_before_after_key(section, before="\n")
    if "epochs" in content.get("claims", {}):
        content["claims"].yaml_add_eol_comment(_COLUMNS, "epochs", column=28)
    yaml = YAML()
    yaml.representer.add_representer(float, _represent_float)
    yaml.width = 4096  # a long reason stays on its line
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    yaml.dump(content, stream)
    return _head(draft.defaults) + stream.getvalue()


def _head(defaults: Sequence[str]) -> str:
    """What the reader should know first: which keys the card leaves to the defaults."""
    lines = ["# Drafted by `cardproof add`: compare it with the card before you rely on it."]
    if defaults:
        lines.append("# Not read in the card, so left to cards/defaults.yaml:")
        lines += [f"#   {line}" for line in wrap(", ".join(defaults), _WIDTH - 4)]
    return "\n".join(lines) + "\n"


def _node(key: str, value: Any) -> Any:
    """A value in the form that a hand would give it."""
    if key == "claims":
        return CommentedMap({name: _claim(claim) for name, claim in value.items()})
    if key in ("inferred", "assumed"):
        return CommentedMap({name: _flow_map(entry) for name, entry in value.items()})
    if isinstance(value, list):
        return _flow_list(value)
    if isinstance(value, Mapping):
        lists = {n: _flow_list(v) if isinstance(v, list) else v for n, v in value.items()}
        return _flow_map(lists) if key in _IN_ONE_LINE else CommentedMap(lists)
    return value


def _claim(value: Any) -> Any:
    """A figure in quotes, so that its digits stay what they are; a table a row a line."""
    if isinstance(value, list):
        return CommentedSeq(
            [_flow_list([DoubleQuotedScalarString(cell) for cell in row]) for row in value]
        )
    return DoubleQuotedScalarString(value) if value[:1] not in "bmw" else value


def _flow_list(values: Sequence[Any]) -> CommentedSeq:
    node = CommentedSeq(values)
    node.fa.set_flow_style()
    return node


def _flow_map(values: Mapping[str, Any]) -> CommentedMap:
    node = CommentedMap(values)
    node.fa.set_flow_style()
    return node


def _represent_float(representer: Any, value: float) -> Any:
    """2.0e-5 for 2e-05, which is a number to every version of YAML."""
    text = repr(value)
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        text = f"{mantissa}{'' if '.' in mantissa else '.0'}e{int(exponent)}"
    return representer.represent_scalar("tag:yaml.org,2002:float", text)
