"""The same cards to mlscorecheck, to GRIM and to the audit.

mlscorecheck (https://github.com/FalseNegativeLab/mlscorecheck) tests whether scores of two classes
can come from one confusion matrix, and needs the rows of each class. GRIM (Brown and Heathers 2017)
tests whether a mean of whole numbers can be printed so, and needs the number of rows. Neither reads
a card: each gets the headline as the audit reads it, and rows where the card states them, or where
its data set is known and named as such. It is no dependency: `pip install mlscorecheck` first.
"""

import logging
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cardproof.audit import audit_bytes
from cardproof.audit.check_scores import scored_rows
from cardproof.audit.facts import CardFacts
from cardproof.audit.reading import decode, read_card
from cardproof.audit.rendering import verdict
from dev.audit.cards import FIVE, stream

SEED, DRAWN = 14, 50
NAMES = ("grojeda", "deepaxion", "template", "llm_project", "hansaht")
_THEIR_NAMES = {"accuracy": "acc", "precision": "ppv", "recall": "sens", "f1": "f1",
                "specificity": "spec", "balanced accuracy": "bacc", "mcc": "mcc",
                "kappa": "kappa"}  # fmt: skip
# Rows of class 1 and of class 0 on the split that is scored, from the labels of the data sets.
_CLASSES = {"imdb": (12_500, 12_500), "glue/sst2": (444, 428), "sst2": (444, 428),
            "glue/mrpc": (279, 129), "glue/cola": (721, 322),
            "rotten_tomatoes": (533, 533)}  # fmt: skip


def by_mlscorecheck(facts: CardFacts) -> str:
    """Its word on the headline: consistent, inconsistent or not applicable."""
    from mlscorecheck.check.binary import check_1_testset_no_kfold

    scored, known = scored_rows(facts), facts.known
    classes = scored.classes if scored else _CLASSES.get(known.name) if known else None
    headlines = {theirs: facts.headline(ours) for ours, theirs in _THEIR_NAMES.items()}
    claims = {theirs: claim for theirs, claim in headlines.items() if claim}
    if classes is None or len(claims) < 2:
        return "not applicable"
    logging.getLogger("mlscorecheck").setLevel(logging.ERROR)
    eps = {name: max(claim.printed.figure.half_unit, 1e-9) for name, claim in claims.items()}
    result = check_1_testset_no_kfold(
        testset={"p": classes[0], "n": classes[1]},
        scores={name: claim.printed.figure.value for name, claim in claims.items()},
        eps=eps | {"f1p": eps.get("f1", 0.0)},  # the name that it gives to F1 itself
    )
    return "inconsistent" if result["inconsistency"] else "consistent"


def by_grim(facts: CardFacts) -> str:
    """Whether the headline accuracy is a whole count of the rows, where they are known."""
    scored, claim, known = scored_rows(facts), facts.headline("accuracy"), facts.known
    sizes = (scored.rows,) if scored else known.scored if known else ()
    if not claim or not sizes:
        return "not applicable"
    return "consistent" if any(map(claim.printed.figure.whole_counts, sizes)) else "inconsistent"


def _all_three(data: bytes) -> tuple[str, str, str]:
    facts = read_card(decode(data)[0])
    return by_mlscorecheck(facts), by_grim(facts), verdict(audit_bytes(data))[0]


def compare_peers() -> dict[str, Any]:
    """The five cards one by one, and counts over fifty drawn of those with two headline scores."""
    five = dict(zip(NAMES, (path.read_bytes() for path in sorted(FIVE.iterdir())), strict=True))
    with_scores = [data for _, data in stream() if _has_scores(data)]
    drawn = random.Random(SEED).sample(with_scores, DRAWN)
    words = [_all_three(data) for data in drawn]
    return {
        "five": {name: list(_all_three(data)) for name, data in five.items()},
        "cards_with_two_scores": len(with_scores),
        "fifty": {
            tool: dict(Counter(word[place] for word in words))
            for place, tool in enumerate(("mlscorecheck", "GRIM", "cardproof"))
        },
        "found_by_peers_only": _only(words, peers=True),
        "found_by_cardproof_only": _only(words, peers=False),
    }


def _has_scores(data: bytes) -> bool:
    facts = read_card(decode(data)[0])
    return sum(facts.headline(metric) is not None for metric in _THEIR_NAMES) > 1


def _only(words: Sequence[tuple[str, str, str]], *, peers: bool) -> int:
    """Cards that only the peers, or only the audit, find fault with."""
    fault = ("contradicts itself", "suspicious")
    found = [("inconsistent" in word[:2], word[2] in fault) for word in words]
    return sum((theirs and not ours) if peers else (ours and not theirs) for theirs, ours in found)
