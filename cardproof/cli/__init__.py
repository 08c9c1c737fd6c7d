"""The `cardproof` command: one subcommand a module of this folder."""

import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "audit": "what a model card's own figures prove",
    "compare": "put runs side by side",
    "verify": "hold every output and DVC's cache against their checksums",
    "share": "send every run to the DVC remote",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the first argument names; its exit code."""
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments), "--help"][:1] + list(
        (sys.argv[1:] if arguments is None else arguments)[1:]
    )
    if name not in COMMANDS:
        lines = [f"  {command:9} {what}" for command, what in COMMANDS.items()]
        print("usage: cardproof COMMAND ...\n\n" + "\n".join(lines))
        return 0 if name in ("-h", "--help") else 2
    return int(import_module(f"cardproof.cli.{name}").main(rest) or 0)
