"""The packages of the library import in one direction, as CONTRIBUTING.md lists them."""

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "cardproof"


def packages_in_order() -> list[str]:
    """As CONTRIBUTING.md lists them: each imports from those above it only."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("each of which imports only from those above it") :]
    rows = re.findall(r"^\| ((?:`\w+/`(?:, )?)+) \|", table, re.MULTILINE)
    return [package for row in rows for package in re.findall(r"`(\w+)/`", row)]


def imported_packages(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cardproof."):
            found.add((node.module or "").split(".")[1])
    return found


def test_every_package_is_listed() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(packages_in_order()) == packages


@pytest.mark.parametrize("package", packages_in_order())
def test_a_package_imports_from_those_above_it_only(package: str) -> None:
    order = packages_in_order()
    above = {
        *order[: order.index(package) + 1],
        "csv_files",
        "errors",
        "files",
        "imports",
        "stage",
        "text",
    }
    for path in (PACKAGE / package).rglob("*.py"):
        assert imported_packages(path) <= above, path


def test_what_lies_beside_the_packages_imports_from_the_recipe_at_most() -> None:
    for path in PACKAGE.glob("*.py"):
        if path.name != "__main__.py":
            assert imported_packages(path) <= {"errors", "files", "recipe", "cli"}, path
