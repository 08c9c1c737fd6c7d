"""Read every output and every object of DVC's cache, and compare them with their checksums.

DVC itself trusts a file whose time and size it knows, and the objects of its cache: a bit that
flips there goes into the next run unseen. The stages check what they read; this reads every byte
of the rest too. It also finds what DVC leaves when it is killed in the middle of writing dvc.lock
or its file of locks, after which it refuses to run. Run times (metrics/*_time.json) differ on
every run and are not compared. Not for use while DVC runs.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from hashlib import md5
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cardproof.errors import CardproofError
from cardproof.files import checksum_lines, digest_of

EXIT_DAMAGED = 1
EXIT_MISSING = 3  # 2 is for usage
_RUN_TIMES = "_time.json"  # the end of their names

_EPILOG = """\
examples:
  cardproof verify           name what is damaged
  cardproof verify --remove  remove it; then `dvc repro` makes it again

exit codes: 0 every output is there and nothing is damaged, or what was damaged is removed; 1
something is damaged, or this is no clone of the project; 3 nothing is damaged, and outputs are not
there, as in a new clone.
"""


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
    for path, noted in _outputs(root):
        files = _files_of(path, noted, cache)
        for file, expected in files or []:
            yield from _compare(root / file, expected)
        folder = root / path
        if files is None and folder.is_dir() and (found := _digest_of_folder(folder)) != noted:
            yield Damage(folder, checksum_lines(noted, found, "md5"))


def missing_outputs(root: Path, cache: Path) -> list[str]:
    """The outputs of dvc.lock that are not in `root`, or not with all their files."""
    missing = []
    for path, noted in _outputs(root):
        files = [file for file, _ in _files_of(path, noted, cache) or []]
        if not all((root / one).exists() for one in (path, *files)):
            missing.append(path)
    return missing


def _outputs(root: Path) -> list[tuple[str, str]]:
    """Path and checksum of each output of dvc.lock, but for run times."""
    try:
        lock = _parse_lock((root / "dvc.lock").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # cut_off_records names it
        return []
    outs = [out for stage in lock.get("stages", {}).values() for out in stage.get("outs", [])]
    noted = [(out["path"], out.get("md5")) for out in outs]
    return [(path, digest) for path, digest in noted if digest and not path.endswith(_RUN_TIMES)]


def _files_of(path: str, noted: str, cache: Path) -> list[tuple[str, str]] | None:
    """Paths and checksums of an output's files; None if it is a folder that has no list there."""
    if not noted.endswith(".dir"):
        return [(path, noted)]
    try:
        listed = json.loads((cache / noted[:2] / noted[2:]).read_text(encoding="utf-8"))
        return [(f"{path}/{entry['relpath']}", entry["md5"]) for entry in listed]
    except (OSError, ValueError, TypeError, KeyError):  # damaged_objects names a damaged list
        return None


def _digest_of_folder(folder: Path) -> str:
    """DVC's checksum of a folder: the MD5 of the list that its cache would hold."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    listed = [{"md5": digest_of(folder / name, "md5"), "relpath": name} for name in files]
    return md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _compare(path: Path, expected: str) -> Iterator[Damage]:
    if path.is_file() and (found := digest_of(path, "md5")) != expected:
        yield Damage(path, checksum_lines(expected, found, "md5"))


def main(arguments: Sequence[str]) -> int:
    """Name what is damaged or not there, and remove what is damaged if asked to; the exit code."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "cardproof verify", description=__doc__, epilog=_EPILOG, formatter_class=plain
    )
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
    if damages and not remove:
        told = f"{len(damages)} files are damaged, or changed since DVC saw them; "
        advice = "`cardproof verify --remove` removes them, then `dvc repro` makes them again"
        print(told + advice, file=sys.stderr)
        return EXIT_DAMAGED
    if damages:
        for damage in damages:
            if damage.path.is_dir():
                shutil.rmtree(damage.path)
            else:
                damage.path.unlink()
        print(f"removed {len(damages)} files; `dvc repro` makes again what it needs")
        return 0
    if missing := missing_outputs(root, cache):
        count = "1 output is" if len(missing) == 1 else f"{len(missing)} outputs are"
        print(f"{count} not there (`dvc repro` makes what is missing); 0 damaged")
        return EXIT_MISSING
    print(f"every output in {root} and every object in {cache} matches its checksum")
    return 0
