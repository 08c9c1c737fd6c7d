"""Imports of large packages without what makes them slow."""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without garbage collection: torch and transformers take a quarter less time.

    What was imported is left out of later collections, the one at the end of the process included.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def import_without(unused: Sequence[str], name: str) -> ModuleType:
    """Import a module as if the packages that it only may use were absent.

    They can be imported afterwards. One that is imported already stays, and so does the module.

    Args:
        unused: names of packages.
        name: of the module.
    """
    hidden = [package for package in unused if package not in sys.modules]
    for package in hidden:
        sys.modules[package] = None  # type: ignore[assignment]  # as the import system documents it
    try:
        with quick_imports():
            return import_module(name)
    finally:
        for package in hidden:
            del sys.modules[package]
