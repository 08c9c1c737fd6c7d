"""Make the runs of a question: `python -m dev.study.run QUESTION`.

They run one after the other, in a clone of HEAD below .dvc/tmp that shares this repository's cache;
the workspace stays as it is. A run that has a record is not made again (unless another starts from
its model, and that is gone), and one that was interrupted resumes from its last checkpoint. Where
the hub is not to be reached, CARDPROOF_MIRROR names a mirror of it.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML

from cardproof.errors import CardproofError
from cardproof.files import sha256_of, working_folder
from dev.study.plan import PLAN, Planned, options_of
from dev.study.record import FILE, RESULTS, write_record

CLONE, MODELS = Path(".dvc/tmp/study/clone"), Path(".dvc/tmp/study/models")
BASE_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def main() -> int:
    """Run what has no record; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.study.run", description=__doc__)
    parser.add_argument("question", help=f"one of {', '.join(PLAN)}; or how runs' names begin")
    asked = parser.parse_args().question
    runs = [run for plan in PLAN.values() for run in plan if run.name.startswith(asked)]
    if not runs:
        parser.error(f"no run's name begins with {asked}; the questions are {', '.join(PLAN)}")
    waiting = without_record(runs)
    try:
        for number, run in enumerate(waiting, 1):
            print(f"== {run.name}, {number} of {len(waiting)} ==", flush=True)
            make_run(run)
    except (CardproofError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        return 130
    return 0


def without_record(runs: Sequence[Planned]) -> list[Planned]:
    """What there is to run, in order: before a run whose base is another's model, that other.

    Models are not kept with the records: one that is gone is trained again.
    """
    planned = {run.name: run for plan in PLAN.values() for run in plan}
    waiting: dict[str, Planned] = {}
    for run in runs:
        if not (RESULTS / run.name / FILE).is_file():
            if run.base_from and not (MODELS / run.base_from).is_dir():
                waiting[run.base_from] = planned[run.base_from]
            waiting[run.name] = run
    return list(waiting.values())


def make_run(run: Planned) -> None:
    """Run it in the clone and keep its record, and its model if another run starts from it.

    Raises:
        CalledProcessError: Git or DVC failed, and said why.
    """
    clone = prepare_clone()
    if run.base_from:
        offer_as_base(MODELS / run.base_from, clone, run.settings["model.base"])
    subprocess.run(["dvc", "exp", "run", *options_of(run.settings)], cwd=clone, check=True)
    if any(other.base_from == run.name for plan in PLAN.values() for other in plan):
        with working_folder(MODELS / run.name) as folder:
            for name in BASE_FILES:
                shutil.copy(clone / "model" / name, folder)
    write_record(clone, RESULTS / run.name)


def offer_as_base(model: Path, clone: Path, name: str) -> None:
    """Make a trained model a base of the clone's sources.yaml, with its checksums."""
    repository = f"cardproof/{name}"
    shutil.copytree(model, clone / "sample/hub" / repository, dirs_exist_ok=True)
    yaml = YAML()
    sources = yaml.load(clone / "sources.yaml")
    sources["bases"][name] = {
        "repository": repository,
        "revision": None,
        "max_positions": sources["bases"]["minilm"]["max_positions"],
        "files": {file: sha256_of(model / file) for file in BASE_FILES},
    }
    yaml.dump(sources, clone / "sources.yaml")


def prepare_clone() -> Path:
    """A clone of HEAD without what an earlier run changed in it, on this repository's cache."""
    clone = CLONE.resolve()
    if not clone.is_dir():
        subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
        cache = ["cache.dir", str(Path(".dvc/cache").resolve())]
        subprocess.run(["dvc", "config", "--quiet", "--local", *cache], cwd=clone, check=True)
    for command in (["fetch", "origin", "HEAD"], ["checkout", "--force", "FETCH_HEAD"]):
        subprocess.run(["git", *command, "--quiet"], cwd=clone, check=True)
    return clone


if __name__ == "__main__":
    sys.exit(main())
