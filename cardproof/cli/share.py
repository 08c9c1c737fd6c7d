"""Send every run in the run cache, with all its files, to a DVC remote.

`dvc push --run-cache` sends the records of all runs, but of their files only those that the
workspace names: an experiment's model and metrics stay behind, and a clone computes such a run
again. With all files in the remote, `dvc repro --pull` and `dvc exp run --pull` take it from there.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from cardproof.errors import CardproofError

_EPILOG = """\
examples:
  cardproof share       to the default remote
  cardproof share team  to another one

A remote is set once: `dvc remote add -d NAME URL`, where URL is such as /mnt/folder or
s3://bucket/folder, and -d makes it the default.

exit codes: 0 every run is in the remote; 1 it is not, and what is printed says why.
"""


class ShareError(CardproofError):
    """Files that did not reach the remote."""


def share_runs(remote: str | None) -> tuple[int, int]:
    """Send the runs that the run cache of the repository here holds to a remote, or the default.

    Returns:
        How many runs there are, and how many files were new to the remote.

    Raises:
        ShareError: there is no such remote, it cannot be reached, or a file did not get there.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_objects.fs.errors import AuthError

    try:
        with Repo() as repo:
            repo.cloud.get_remote(remote)
            runs = repo.stage_cache.push(remote)
            files: set[Any] = set().union(*repo.stage_cache.get_used_objs(runs).values())
            sent = repo.cloud.push(files, remote=remote)
    except (DvcException, AuthError, OSError) as error:
        raise ShareError(
            f"nothing was shared: {error}; `dvc remote list` shows the remotes, "
            "`dvc remote add -d NAME URL` adds one"
        ) from error
    if sent.failed:
        raise ShareError(f"{len(sent.failed)} files were not sent; run this again")
    return len(runs), len(sent.transferred)


def main(arguments: Sequence[str]) -> int:
    """Share the runs of the repository here with the remote named on the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "cardproof share", description=__doc__, epilog=_EPILOG, formatter_class=plain
    )
    parser.add_argument("remote", nargs="?", help="a DVC remote; without it the default one")
    runs, files = share_runs(parser.parse_args(arguments).remote)
    print(f"{runs} runs are in the remote; {files} files were new to it")
    return 0
