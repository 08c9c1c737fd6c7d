"""What a stage loads: `python -m dev.benchmarks.loaded run STAGE FILE` or `... load FILE`."""

import atexit
import importlib
import json
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run a stage and write the names of the modules it loaded; or load those in a file alone."""
    action, *rest = sys.argv[1:]
    if action == "run":
        stage, file = rest
        target = Path(file).absolute()
        atexit.register(lambda: target.write_text(json.dumps(sorted_by_load())))
        sys.argv = [stage]
        runpy.run_module(f"stages.{stage}", run_name="__main__")
    else:
        for name in json.loads(Path(rest[0]).read_text()):
            try:
                importlib.import_module(name)
            except Exception:  # a name that a library put there by hand
                continue


def sorted_by_load() -> list[str]:
    """Names of all modules that this process has loaded, first loaded first."""
    return [name for name in sys.modules if name != "__main__" and not name.startswith("_")]


if __name__ == "__main__":
    main()
