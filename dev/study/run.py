"""Make the runs of a question: `python -m dev.study.run QUESTION`.

They run one after the other, in a clone of HEAD below .dvc/tmp that shares this repository's cache;
the workspace stays as it is. A run that has a record is not made again, and one that was
interrupted goes on from its last checkpoint.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from cardproof.errors import CardproofError
from cardproof.files import sha256_of, working_folder
from dev.study.plan import PLAN, Planned, command_of
from dev.study.record import RESULTS, write_record

CLONE, MODELS = Path(".dvc/tmp/study/clone"), Path(".dvc/tmp/study/models")
BASE_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")

_EPILOG = """\
examples:
  export CARDPROOF_MIRROR=/path/to/mirror      where the hub is not to be reached
  python -m dev.study.run unspecified                 all runs of a question that have no record yet
  python -m dev.study.run recipes --only grojeda   those with this in their name
  python -m dev.study.run unspecified --list          what there is to run, and what was
"""


def main() -> int:
    """Run what has no record; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dev.study.run",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("question", choices=sorted(PLAN))
    parser.add_argument("--only", default="", metavar="TEXT", help="runs with TEXT in their name")
    parser.add_argument("--list", action="store_true", help="run nothing")
    options = parser.parse_args()
    planned = [run for run in PLAN[options.question] if options.only in run.name]
    waiting = [run for run in planned if not (RESULTS / run.name / "record.json").is_file()]
    if options.list:
        for run in planned:
            print(f"{'to run' if run in waiting else 'done  '}  {run.name}  {command_of(run)}")
        return 0
    try:
        for number, run in enumerate(waiting, 1):
            print(f"== {run.name}, {number} of {len(waiting)} ==", flush=True)
            make_run(run)
    except (CardproofError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: {' '.join(error.cmd)} failed; see above", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


def make_run(run: Planned) -> None:
    """Run it in the clone and keep its record, and its model if another run starts from it.

    Raises:
        CalledProcessError: Git or DVC failed, and said why.
    """
    clone = prepare_clone()
    if run.base_from:
        offer_as_base(MODELS / run.base_from, clone, run.settings["model.base"])
    subprocess.run(["dvc", "exp", "run", *run.overrides], cwd=clone, check=True)
    if any(other.base_from == run.name for runs in PLAN.values() for other in runs):
        (MODELS / run.name).parent.mkdir(parents=True, exist_ok=True)
        with working_folder(MODELS / run.name) as folder:
            for name in BASE_FILES:
                shutil.copy(clone / "model" / name, folder)
    write_record(clone, RESULTS / run.name, page=run.page)


def offer_as_base(model: Path, clone: Path, name: str) -> None:
    """Make a trained model a base of the clone's sources.yaml, with its sums.

    Raises:
        CardproofError: the model is not there any more.
    """
    if not model.is_dir():
        raise CardproofError(
            f"{model} is gone, the model to start from; remove its record and run again"
        )
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
        MODELS.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
        cache = Path(".dvc/cache").resolve()
        subprocess.run(
            ["dvc", "config", "--quiet", "--local", "cache.dir", str(cache)], cwd=clone, check=True
        )
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    for command in (["fetch", "--quiet", "origin"], ["checkout", "--quiet", "--force", head]):
        subprocess.run(["git", *command], cwd=clone, check=True)
    return clone


if __name__ == "__main__":
    sys.exit(main())
