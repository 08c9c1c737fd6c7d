"""A process that runs tasks, started by `runner`: `python -m dev.benchmarks.worker IN OUT`."""

import importlib
import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Run the tasks of REQUEST, a JSON list of [function, arguments, folder]; write ANSWER."""
    request, answer = map(Path, sys.argv[1:])
    values = []
    for name, arguments, folder in json.loads(request.read_text()):
        module, _, function = name.partition(":")
        os.chdir(folder)
        work = getattr(importlib.import_module(f"benchmarks.{module}"), function)
        values.append(work(**arguments))
    answer.write_text(json.dumps(values))


if __name__ == "__main__":
    main()
