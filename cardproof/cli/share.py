"""Send every run in the run cache, with all its files, to a DVC remote.

`dvc push --run-cache` sends the records of all runs, but of their files only those that the
workspace names and DVC keeps: an experiment's model stays behind, and so do the metrics, which
Git keeps. A clone then computes such a run again. With all files in the remote, `dvc repro --pull`
and `dvc exp run --pull` take it from there.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cardproof.errors import CardproofError

_EPILOG = """\
examples:
  cardproof share       to the default remote
  cardproof share team  to another one
"""


class ShareError(CardproofError):
    """Files that did not reach the remote."""


def share_runs(repository: Path, remote: str | None = None) -> tuple[int, int]:
    """Send the runs that a repository's run cache holds.

    Args:
        repository: its root.
        remote: the name of a DVC remote; None for the default one.

    Returns:
        How many runs there are, and how many files were new to the remote.

    Raises:
        ShareError: there is no such remote, it cannot be reached, or a file did not get there.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_objects.fs.errors import AuthError

    try:
        with Repo(str(repository)) as repo:
            repo.cloud.get_remote(remote)
            runs = repo.stage_cache.push(remote)
            files: set[Any] = set().union(*repo.stage_cache.get_used_objs(runs).values())
            sent = repo.cloud.push(files, remote=remote)
    except (DvcException, AuthError, OSError) as error:
        raise ShareError(f"nothing was shared: {error}; see `dvc remote list`") from error
    if sent.failed:
        raise ShareError(f"{len(sent.failed)} files were not sent; run this again")
    return len(runs), len(sent.transferred)


def main(arguments: Sequence[str]) -> int:
    """Share the runs of the repository here with the remote named on the command line."""
    parser = argparse.ArgumentParser(
        prog="cardproof share",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("remote", nargs="?", help="a DVC remote; without it the default one")
    runs, files = share_runs(Path(), parser.parse_args(arguments).remote)
    print(f"{runs} runs are in the remote; {files} files were new to it")
    return 0
