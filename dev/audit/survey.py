"""What a collection of cards looks like to the audit: counts, and no card's name."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from cardproof.audit import Audit
from cardproof.audit.rendering import verdict


def survey(audited: Iterable[tuple[str, Audit, float]]) -> dict[str, Any]:
    """Cards by bottom line, by what was compared and by kind of finding, and how fast it went."""
    verdicts: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    seconds = []
    for _, audit, took in audited:
        verdicts[verdict(audit)[0]] += 1
        compared.update(audit.checked)
        kinds.update({f"{one.severity} {one.code}" for one in audit.findings})
        seconds.append(took)
    return {
        "cards": len(seconds),
        "verdicts": dict(sorted(verdicts.items())),
        "compared": dict(sorted(compared.items(), key=lambda one: (-one[1], one[0]))),
        "kinds": dict(sorted(kinds.items())),
        "cards_per_second": round(len(seconds) / sum(seconds)),
        "slowest_seconds": round(max(seconds), 2),
    }
