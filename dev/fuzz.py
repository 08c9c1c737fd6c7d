"""Run the tests that draw their examples, again and again with fresh draws.

    python -m dev.fuzz                     an hour
    python -m dev.fuzz --minutes 5 tests/recipe

The suite draws the same examples each time, so that a commit that passed passes again. This draws
others until the time is over. A failure is printed with its example, which goes into the test as
an @example, with the fix.
"""

import argparse
import re
import sys
import time

import pytest
from hypothesis import HealthCheck, settings


class Tally:
    """A plugin of pytest that counts what hypothesis drew and which tests failed."""

    def __init__(self) -> None:
        self.passing, self.invalid = 0, 0
        self.tests: set[str] = set()
        self.failed: set[str] = set()

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Take down what a test came to."""
        if call.when != "call":
            return
        self.tests.add(item.nodeid)
        drawn = getattr(item, "hypothesis_statistics", "")
        self.passing += sum(map(int, re.findall(r"(\d+) passing", drawn)))
        self.invalid += sum(map(int, re.findall(r"(\d+) invalid", drawn)))
        if call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
            self.failed.add(item.nodeid)


def main() -> None:
    """Draw until the time is over; exit code 1 if a test failed."""
    parser = argparse.ArgumentParser(
        prog="python -m dev.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tests", nargs="*", help="as pytest takes them; all by default")
    parser.add_argument("--minutes", type=float, default=60, help="begin no round after them (60)")
    options = parser.parse_args()
    # A busy machine is no finding: no limit to the time of an example.
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    settings.register_profile(
        "fuzz", derandomize=False, database=None, deadline=None, suppress_health_check=slow
    )
    words = ["-m", "hypothesis", "--hypothesis-profile=fuzz", "-q", "--durations=0", "-p",
             "no:cacheprovider", "--no-header", *options.tests]  # fmt: skip
    tally, began, rounds = Tally(), time.monotonic(), 0
    while time.monotonic() < began + 60 * options.minutes:
        # One process for all rounds: to import torch takes longer than most tests.
        code = pytest.main(words, plugins=[tally])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            sys.exit(int(code))
        rounds += 1
        print(
            f"round {rounds}: {tally.passing:,} examples and {tally.invalid:,} draws that were "
            f"none, of {len(tally.tests)} tests in {(time.monotonic() - began) / 60:.1f} minutes; "
            f"failed: {', '.join(sorted(tally.failed)) or 'none'}",
            flush=True,
        )
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
