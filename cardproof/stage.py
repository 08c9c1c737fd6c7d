"""What all stages share as commands: --help, errors without tracebacks, exit codes."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from cardproof.errors import CardproofError, StoppedError
from cardproof.files import disk_errors, verify_checksums
from cardproof.recipe.environment import check_environment
from cardproof.recipe.faults import RecipeError

EXIT_FAILED = 1
EXIT_RECIPE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def run_stage(
    name: str,
    description: str,
    work: Callable[[], None],
    *,
    reads: Mapping[str, str] | None = None,
    network: bool = False,
) -> None:
    """Run a stage as a command and exit.

    Exit code 2 is a fault of the recipe, 1 any other error whose message says what to do.

    Args:
        name: of the stage.
        description: for --help.
        work: what the stage does.
        reads: the folders that it reads, whose checksums are verified, and the stages that made
            them.
        network: whether it may reach the hub: otherwise it is set offline.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n  dvc repro {name}          run what changed, up to this stage\n"
        f"  python -m stages.{name}   run this stage alone, on the outputs at hand\n\n"
        "It takes no options: what can be changed is a parameter in params.yaml, so that DVC\n"
        "sees it. `dvc repro download` reads that file and writes data/recipe/ for the others.",
    )
    parser.parse_args()
    if not network:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        check_environment(os.environ)
        with disk_errors(Path.cwd()):
            for folder, maker in (reads or {}).items():
                verify_checksums(Path(folder), maker)
            work()
    except RecipeError as error:
        sys.exit(_fail(error, EXIT_RECIPE))
    except StoppedError as error:
        sys.exit(_fail(error, EXIT_INTERRUPTED))
    except CardproofError as error:
        sys.exit(_fail(error, EXIT_FAILED))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted; `dvc repro` starts this stage again", EXIT_INTERRUPTED))


def _fail(message: object, code: int) -> int:
    print(f"\nerror: {message}", file=sys.stderr)  # a progress bar may stand in the line
    return code
