"""Imports of large packages without what they load only because it is installed."""

import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType


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
        return import_module(name)
    finally:
        for package in hidden:
            del sys.modules[package]
