"""The `cardproof` command: each module of this folder is one subcommand.

A subcommand is imported when it is asked for, so that `cardproof audit` starts without torch and
runs where the pipeline's packages are not installed.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from cardproof import __version__
from cardproof.errors import CardproofError

COMMANDS = {
    "audit": "check a model card against its own figures",
    "add": "draft a recipe, cards/NAME.yaml, from a model card",
    "check": "say what is wrong in params.yaml, cards/ and sources.yaml; nothing is run",
    "plan": "the chances of each verdict, by the number of seeds",
    "compare": "put finished runs side by side",
    "verify": "read every output and DVC's cache, and name what is damaged",
    "share": "send every run to a DVC remote",
}
_BY_DVC = ("compare", "verify", "share")  # which read params.yaml by DVC
PARAMS = Path("params.yaml")
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE

_EXAMPLES = """\
examples:
  cardproof audit README.md             what a card's figures give away; no model, no data
  cardproof add README.md               draft cards/NAME.yaml, for dvc exp run -S card=NAME
  cardproof check                       the recipe's files, before DVC reads them
  cardproof plan grojeda                what more seeds would show
  cardproof compare main my-experiment  two runs, with paired tests
  cardproof verify --remove             remove damaged files; dvc repro makes them again
  cardproof share team                  every run to the DVC remote "team"

`cardproof COMMAND --help` tells more. audit and add need few packages (pip install .), the others
the pipeline's (pip install '.[run]', or make setup).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the first argument names.

    Args:
        arguments: without the program's name; None for those of the command line.

    Returns:
        The exit code: the subcommand's own, or 1 for an error that ended it, 2 for a package that
        is not installed, 130 for Ctrl-C, 141 if nobody reads on (`cardproof ... | head`).
    """
    options = _parser().parse_args((sys.argv[1:] if arguments is None else arguments) or ["--help"])
    try:
        if options.command in _BY_DVC and PARAMS.is_file():
            import_module("cardproof.recipe.yaml_files").refuse_hostile(PARAMS)
        code = int(import_module(f"cardproof.cli.{options.command}").main(options.arguments))
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "cardproof":
            raise
        print(
            f"error: `cardproof {options.command}` needs the package {error.name}; the extra `run` "
            "has it: pip install '.[run]' in a clone of the project, or `make setup` there",
            file=sys.stderr,
        )
        return EXIT_USAGE
    except BrokenPipeError:
        # Python flushes once more as it ends, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except (CardproofError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    commands = "".join(f"  {name:8} {what}\n" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="cardproof",
        usage="cardproof COMMAND ...",
        description="Re-run published model cards, and check what they claim.",
        epilog=f"commands:\n{commands}\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cardproof {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser
