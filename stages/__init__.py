"""The pipeline's stages: thin shells that read parameters and inputs, call cardproof, and write."""

import sys
from importlib.util import find_spec

if missing := [
    name for name in ("pydantic", "ruamel", "torch", "transformers") if not find_spec(name)
]:
    sys.exit(
        f"error: {sys.executable} has no package {', '.join(missing)}. Run `make setup` once and "
        "`source .venv/bin/activate` in each new shell."
    )
