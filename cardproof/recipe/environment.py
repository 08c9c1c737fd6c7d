"""The variables of the environment that a run obeys, checked before anything is touched.

Libraries read most of them when they are imported, and end in a traceback at a bad one. No value is
shown that may hold a secret.
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from cardproof.errors import CardproofError
from cardproof.recipe.faults import suggestion

SAVE_VARIABLE = "CARDPROOF_SAVE_SECONDS"  # between checkpoints
MIRROR_VARIABLE = "CARDPROOF_MIRROR"
LAUNCHER = "TORCHELASTIC_RUN_ID"  # torchrun sets it for the processes that it starts
RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE")
_LONGEST = 86_400  # seconds
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class VariableError(CardproofError):
    """Variables that cannot be obeyed: one line for each, with what to do."""


def check_environment(variables: Mapping[str, str], *, stages: bool = True) -> None:
    """Check each variable that the stages and the libraries below them read.

    Args:
        variables: of the environment.
        stages: whether those count that only stages read, and not the hub's client.

    Raises:
        VariableError: with every fault.
    """
    faults = [
        f"{name}: {fault}"
        for name, check in _CHECKS.items()
        if variables.get(name) and (fault := check(variables[name]))
    ]
    faults += _own_faults(variables) + _launcher_faults(variables) if stages else []
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise VariableError("\n  ".join([f"{count} in the environment. Nothing was run.", *faults]))


def save_seconds(variables: Mapping[str, str]) -> float | None:
    """The seconds between checkpoints that the user set; None for those that are computed.

    Raises:
        VariableError: what was set is none.
    """
    named = variables.get(SAVE_VARIABLE)
    if named and (fault := _seconds_fault(named)):
        raise VariableError(f"{SAVE_VARIABLE}: {fault}")
    return float(named) if named else None


def _own_faults(variables: Mapping[str, str]) -> list[str]:
    """Variables of this project that are misspelt, and a mirror that is not there."""
    known = (SAVE_VARIABLE, MIRROR_VARIABLE)
    strays = [name for name in variables if name.startswith("CARDPROOF_") and name not in known]
    faults = [f"{name}: no such variable{suggestion(name, known)}" for name in sorted(strays)]
    mirror = variables.get(MIRROR_VARIABLE, "")
    # A queued run works in a folder of its own: a relative name is meant from the original.
    place = Path(variables.get("DVC_ROOT", "."), mirror)
    # Path.is_dir raises at a name that is too long.
    if mirror and not os.path.isdir(place):  # noqa: PTH112
        shown = repr(mirror[:80])
        faults.append(f"{MIRROR_VARIABLE}: {shown}: no such folder; name one, or unset it")
    return faults


def _launcher_faults(variables: Mapping[str, str]) -> list[str]:
    """Ranks that torchrun did not set: the training would wait for processes that never come."""
    if LAUNCHER not in variables:
        stray = [name for name in RANKS[:3] if name in variables]
        advice = "unset it; train.processes says how many processes share a batch"
        return [f"{name}: is set, and torchrun did not set it; {advice}" for name in stray]
    wrong = [name for name in RANKS if not variables.get(name, "").isdecimal()]
    advice = f"unset {LAUNCHER}, or start by `dvc repro`, which starts torchrun itself"
    return [f"{name}: is no whole number, though {LAUNCHER} is set; {advice}" for name in wrong]


def _seconds_fault(value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if number >= 0:  # inf: none but those after each epoch
        return ""
    return f"{value[:40]!r} must be a number of seconds, 0 or more; correct or unset it"


def _whole_seconds_fault(value: str) -> str:
    if re.fullmatch("[0-9]{1,9}", value) and 1 <= int(value) <= _LONGEST:
        return ""
    advice = "correct or unset it"
    return f"{value[:40]!r} must be a whole number of seconds from 1 to {_LONGEST:,}; {advice}"


def _endpoint_fault(value: str) -> str:
    if fault := _address_fault(value, ("http", "https"), "https://huggingface.co"):
        return fault
    parts = urlsplit(value)
    if "@" in parts.netloc or parts.query or parts.fragment:
        return (
            "must not hold a user name, a password, ? or # (it is shown in messages); put a token "
            "into HF_TOKEN"
        )
    return ""


def _proxy_fault(value: str) -> str:
    known = ("http", "https", "socks5", "socks5h")
    with_scheme = value if "://" in value else f"http://{value}"
    return _address_fault(with_scheme, known, "http://proxy:3128")


def _address_fault(value: str, schemes: tuple[str, ...], example: str) -> str:
    """What is wrong with an address, without showing it: it may hold a password."""
    try:
        parts = urlsplit(value)
        port_is_wrong = parts.port == 0
    except ValueError:
        return f"is no address, or its port is none from 1 to 65535; correct it, e.g. {example}"
    if parts.scheme not in schemes or not parts.hostname or port_is_wrong:
        known = " or ".join(f"{scheme}://" for scheme in schemes)
        return f"must begin with {known} and name a host; correct it, e.g. {example}"
    if not value.isascii() or not value.isprintable() or " " in value:
        return f"must be of plain ASCII without blanks; correct it, e.g. {example}"
    return ""


def _token_fault(value: str) -> str:
    if value.strip().isascii() and value.strip().isprintable() and " " not in value.strip():
        return ""
    return "is no token: it holds a blank or what is not plain ASCII; copy it again from the hub"


def _folder_fault(value: str) -> str:
    try:
        Path(value).expanduser()
    except RuntimeError:
        return f"{value[:80]!r}: there is no such user; write the whole path"
    return ""


_CHECKS: dict[str, Callable[[str], str]] = {
    SAVE_VARIABLE: _seconds_fault,
    "HF_HUB_ETAG_TIMEOUT": _whole_seconds_fault,
    "HF_HUB_DOWNLOAD_TIMEOUT": _whole_seconds_fault,
    "HF_ENDPOINT": _endpoint_fault,
    **{name: _proxy_fault for upper in _PROXIES for name in (upper, upper.lower())},
    "HF_TOKEN": _token_fault,
    "HUGGING_FACE_HUB_TOKEN": _token_fault,
    **dict.fromkeys(("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH"), _folder_fault),
}
