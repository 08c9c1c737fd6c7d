"""Revisions and experiments through DVC: every file is read out of Git, DVC's cache or its remote.

Nothing is checked out, and nothing waits for an experiment that is running. DVC's documented
`dvc.api` opens the repository anew for each file; one `Repo`, switched from revision to revision
as `dvc exp show` does it, reads 200 runs in about a minute and a half.
"""

import difflib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.repo import Repo
from dvc.repo.experiments.utils import exp_refs_by_baseline
from dvc.scm import Git, RevError, resolve_rev
from dvc_data.index import DataIndexDirError
from tqdm import tqdm

from cardproof.errors import CardproofError
from cardproof.runs.reading import LeftOut, Run, UnavailableError, read_current_run

WORKSPACE = "workspace"  # DVC's own word for the files as they lie there
HEAD = "HEAD"


class RevisionError(CardproofError):
    """A revision or a repository that is not there; the message says what is near."""


@dataclass(frozen=True)
class Revision:
    """What a user calls it, and its sha; for the files as they lie there, both "workspace"."""

    name: str
    sha: str


def open_repository() -> Repo:
    """The DVC repository around the working directory.

    Raises:
        RevisionError: there is none, or it has no Git history.
    """
    try:
        repo = Repo()
    except NotDvcRepoError as error:
        raise RevisionError(
            "not in a DVC repository; run from a clone of the project, or `dvc init` there"
        ) from error
    if not isinstance(repo.scm, Git) or repo.scm.no_commits:
        raise RevisionError("runs are compared by their Git revisions; commit something first")
    return repo


def find_revisions(
    repo: Repo, names: Sequence[str], *, experiments: bool = False, everything: bool = False
) -> tuple[list[Revision], list[LeftOut]]:
    """The revisions to read, and those experiments among them that have not finished.

    Args:
        repo: where to look.
        names: experiments, branches, tags or commits. None: the experiments of HEAD, HEAD itself
            and the workspace.
        experiments: take the experiments that were started from each of `names`, too.
        everything: all experiments, whatever commit they were started from.

    Returns:
        Experiments first: where two names stand for one run, the earlier one is kept.

    Raises:
        RevisionError: a name that is not known, with those that are near it.
    """
    started = {
        baseline: [Revision(info.name, repo.scm.get_ref(str(info))) for info in infos]
        for baseline, infos in exp_refs_by_baseline(repo.scm, None).items()
    }
    known = [r.name for found in started.values() for r in found]
    unfinished = _unfinished(repo)
    named, left_out = [], []
    for name in dict.fromkeys(names or [HEAD, WORKSPACE]):
        waiting = [one for baseline, one in unfinished if one.name == name]
        if waiting and name not in known:
            left_out += waiting
        else:
            named.append(Revision(name, _resolve(repo, name, known)))
    bases = {r.sha for r in named if experiments or not names}
    if everything:
        bases |= started.keys() | {baseline for baseline, _ in unfinished}
    left_out += [one for baseline, one in unfinished if baseline in bases]
    of_bases = [r for base, found in started.items() if base in bases for r in found]
    found = sorted(of_bases, key=lambda r: r.name) + named
    return list(dict.fromkeys(found)), list(dict.fromkeys(left_out))


def read_runs(repo: Repo, revisions: Iterable[Revision]) -> tuple[list[Run], list[LeftOut]]:
    """Read each revision; those that hold no run of this version are named with the reason."""
    runs, left_out = [], []
    for revision in tqdm(
        list(revisions), desc="reading runs", unit=" runs", leave=False, disable=None
    ):
        found = _read_revision(repo, revision)
        if isinstance(found, Run):
            runs.append(found)
        else:
            left_out.append(found)
    return runs, left_out


def _read_revision(repo: Repo, revision: Revision) -> Run | LeftOut:
    def read(path: str) -> bytes:
        try:
            with repo.dvcfs.open(f"/{path}", mode="rb") as file:
                return bytes(file.read())
        except (OSError, DvcException, DataIndexDirError) as error:
            tracked = path.startswith(("data/predictions", "model/"))
            where = "in DVC's cache" if tracked else "there"
            raise UnavailableError(f"{path} is not {where}") from error

    commit = "" if revision.sha == WORKSPACE else revision.sha
    try:
        with repo.switch(revision.sha):
            return read_current_run(revision.name, commit, read)
    except NotDvcRepoError:
        return LeftOut(revision.name, "it is from before DVC was in use here")


def _resolve(repo: Repo, name: str, experiments: Sequence[str]) -> str:
    if name == WORKSPACE:
        return WORKSPACE
    try:
        return str(resolve_rev(repo.scm, name))
    except RevError as error:
        known = [*experiments, *repo.scm.list_branches(), *repo.scm.list_tags(), HEAD, WORKSPACE]
        near = difflib.get_close_matches(name, known, n=3)
        advice = (
            f"did you mean {' or '.join(near)}?"
            if near
            else "`dvc exp list` and `git branch` list what there is"
        )
        reason = "is ambiguous" if "ambiguous" in str(error) else "is not a revision"
        raise RevisionError(f"{name!r} {reason}; {advice}") from error


def _unfinished(repo: Repo) -> list[tuple[str, LeftOut]]:
    """Experiments that are queued, running or failed, each with the commit it starts from."""
    queue = repo.experiments.celery_queue
    states = (
        (queue.iter_queued, "queued, not run yet; `dvc queue start` runs it"),
        (queue.iter_active, "still running"),
        (queue.iter_failed, "it failed; `dvc queue logs {name}` says why"),
    )
    found = []
    for entries, reason in states:
        with suppress(DvcException, OSError):  # a queue of another version of DVC
            for item in entries():
                entry = getattr(item, "entry", item)
                name = entry.name or entry.stash_rev[:7]
                found.append((entry.baseline_rev, LeftOut(name, reason.format(name=name))))
    return found
