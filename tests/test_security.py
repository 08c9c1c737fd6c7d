"""SECURITY.md names a test for each promise, and the tests are there."""

import re

from tests.conftest import ROOT


def test_each_promise_names_tests_that_exist() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    table = page[page.index("| what | promise | test |") : page.index("## Not promised")]
    rows = [line for line in table.splitlines()[2:] if line]
    assert rows
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert named, row
        for path, name in named:
            assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8"), name
