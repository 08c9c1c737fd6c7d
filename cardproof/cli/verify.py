"""Read every output and every object of DVC's cache, and compare them with their checksums.

DVC itself trusts a file whose time and size it knows, and the objects of its cache: a bit that
flips there goes into the next run unseen. The stages check what they read; this reads every byte
of the rest too. It also finds what DVC leaves when it is killed in the middle of writing dvc.lock
or its file of locks, after which it refuses to run. Not for use while DVC runs.

examples:
  cardproof verify           name what is damaged; exit code 1 if anything is
  cardproof verify --remove  remove it; then `dvc repro` makes it again
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cardproof.errors import CardproofError
from cardproof.files import checksum_lines, digest_of

EXIT_DAMAGED = 1


class Damage(NamedTuple):
    """A file that differs from the checksum that DVC noted for it (DVC's MD5), or is cut off."""

    path: Path
    why: str


def cut_off_records(root: Path) -> Iterator[Damage]:
    """DVC's own records that cannot be read: it writes them in place."""
    for name, parse in (("dvc.lock", _parse_lock), (".dvc/tmp/rwlock", json.loads)):
        try:
            parse((root / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except ValueError:
            yield Damage(root / name, "  cut off: DVC was killed as it wrote it")


def _parse_lock(text: str) -> Any:
    """What dvc.lock holds; a ValueError if it is cut off. Most of its beginnings are YAML, too."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    if not text.endswith("\n"):
        raise ValueError("the last line is cut off")
    try:
        return COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text))
    except (YAMLError, Invalid) as error:  # DVC would refuse it
        raise ValueError(str(error)) from error


def damaged_objects(cache: Path) -> Iterator[Damage]:
    """The objects of a DVC cache (its folder files/md5) that are not what their names say."""
    for path in sorted(cache.glob("??/*")):
        if named := re.fullmatch(r"([0-9a-f]{32})(\.dir)?", path.parent.name + path.name):
            yield from _compare(path, named[1])


def damaged_outputs(root: Path, cache: Path) -> Iterator[Damage]:
    """The outputs in `root` that are not what dvc.lock says; one that is missing is not damaged.

    An output that was changed on purpose counts too, until `dvc repro` or `dvc commit` saw it.
    """
    try:
        lock = _parse_lock((root / "dvc.lock").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # cut_off_records names it
        return
    for stage in lock.get("stages", {}).values():
        for out in stage.get("outs", []):
            for path, expected in _files_of(out, cache):
                yield from _compare(root / path, expected)


def _files_of(out: dict[str, str], cache: Path) -> list[tuple[str, str]]:
    """Paths and checksums of an output's files: none if it has none, or the cache has no list."""
    path, noted = out["path"], out.get("md5") or ""
    if not noted.endswith(".dir"):
        return [(path, noted)] if noted else []
    try:
        listed = json.loads((cache / noted[:2] / noted[2:]).read_text(encoding="utf-8"))
        return [(f"{path}/{entry['relpath']}", entry["md5"]) for entry in listed]
    except (OSError, ValueError, TypeError, KeyError):  # damaged_objects names a damaged list
        return []


def _compare(path: Path, expected: str) -> Iterator[Damage]:
    if path.is_file() and (found := digest_of(path, "md5")) != expected:
        yield Damage(path, checksum_lines(expected, found, "md5"))


def main(arguments: Sequence[str]) -> int:
    """Name what is damaged and return 1, or remove it and return 0."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("cardproof verify", description=__doc__, formatter_class=plain)
    parser.add_argument("--remove", action="store_true", help="remove what is damaged")
    remove = parser.parse_args(arguments).remove
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo()
    except NotDvcRepoError as error:
        raise CardproofError(f"{error}; run this in a clone of the project") from error
    root, cache = Path(repo.root_dir), Path(repo.cache.local.path)
    damages = [*cut_off_records(root), *damaged_objects(cache), *damaged_outputs(root, cache)]
    for damage in damages:
        print(f"{damage.path}\n{damage.why}")
        if remove:
            damage.path.unlink()
    if not damages:
        print(f"every output in {root} and every object in {cache} matches its checksum")
        return 0
    if not remove:
        told = f"{len(damages)} files are damaged, or changed since DVC saw them; "
        advice = "`cardproof verify --remove` removes them, then `dvc repro` makes them again"
        print(told + advice, file=sys.stderr)
        return EXIT_DAMAGED
    print(f"removed {len(damages)} files; `dvc repro` makes again what it needs")
    return 0
