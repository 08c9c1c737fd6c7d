"""Rows of known data sets, by split, as their pages on the Hugging Face hub have them.

They were typed by hand, and nothing here reads those pages again. Sizes of the splits that have
labels to score on; the hidden labels of GLUE's tests are left out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

# Name, or name/configuration: rows of train, of validation, of test. 0: there is no such split.
_SIZES: dict[str, tuple[int, int, int]] = {
    "ag_news": (120_000, 0, 7_600),
    "amazon_polarity": (3_600_000, 0, 400_000),
    "anli": (162_865, 3_200, 3_200),
    "banking77": (10_003, 0, 3_080),
    "beans": (1_034, 133, 128),
    "cifar10": (50_000, 0, 10_000),
    "cifar100": (50_000, 0, 10_000),
    "clinc_oos/imbalanced": (10_625, 3_100, 5_500),
    "clinc_oos/plus": (15_250, 3_100, 5_500),
    "clinc_oos/small": (7_600, 3_100, 5_500),
    "conll2003": (14_041, 3_250, 3_453),
    "dbpedia_14": (560_000, 0, 70_000),
    "emotion": (16_000, 2_000, 2_000),
    "fashion_mnist": (60_000, 0, 10_000),
    "food101": (75_750, 25_250, 0),
    "glue/cola": (8_551, 1_043, 0),
    "glue/mnli": (392_702, 9_815, 9_832),  # matched and mismatched, both of validation
    "glue/mrpc": (3_668, 408, 1_725),
    "glue/qnli": (104_743, 5_463, 0),
    "glue/qqp": (363_846, 40_430, 0),
    "glue/rte": (2_490, 277, 0),
    "glue/sst2": (67_349, 872, 1_821),
    "glue/stsb": (5_749, 1_500, 0),
    "glue/wnli": (635, 71, 0),
    "imdb": (25_000, 0, 25_000),
    "mnist": (60_000, 0, 10_000),
    "paws/labeled_final": (49_401, 8_000, 8_000),
    "rotten_tomatoes": (8_530, 1_066, 1_066),
    "snli": (549_367, 9_842, 9_824),  # its rows without a label left out
    "squad": (87_599, 10_570, 0),
    "squad_v2": (130_319, 11_873, 0),
    "sst2": (67_349, 872, 1_821),
    "super_glue/boolq": (9_427, 3_270, 0),
    "super_glue/cb": (250, 56, 0),
    "super_glue/rte": (2_490, 277, 0),
    "super_glue/wic": (5_428, 638, 0),
    "super_glue/wsc": (554, 104, 0),
    "swag": (73_546, 20_006, 0),
    "trec": (5_452, 0, 500),
    "tweet_eval/emoji": (45_000, 5_000, 50_000),
    "tweet_eval/emotion": (3_257, 374, 1_421),
    "tweet_eval/hate": (9_000, 1_000, 2_970),
    "tweet_eval/irony": (2_862, 955, 784),
    "tweet_eval/offensive": (11_916, 1_324, 860),
    "tweet_eval/sentiment": (45_615, 2_000, 12_284),
    "wnut_17": (3_394, 1_009, 1_287),
    "xnli": (392_702, 2_490, 5_010),
    "yelp_polarity": (560_000, 0, 38_000),
    "yelp_review_full": (650_000, 0, 50_000),
}
_ALIASES = {
    "clinc/clinc_oos": "clinc_oos", "dair-ai/emotion": "emotion", "multi_nli": "glue/mnli",
    "nyu-mll/glue": "glue", "sst-2": "sst2", "stanfordnlp/imdb": "imdb",
    "stanfordnlp/sst2": "sst2", "fancyzhx/ag_news": "ag_news", "polyai/banking77": "banking77",
    "fancyzhx/dbpedia_14": "dbpedia_14", "cardiffnlp/tweet_eval": "tweet_eval",
    "rajpurkar/squad": "squad", "rajpurkar/squad_v2": "squad_v2",
}  # fmt: skip
_WORD = re.compile(r"[\w./-]+")


@dataclass(frozen=True)
class DataSet:
    """A known data set.

    Attributes:
        name: with its configuration, if it has several.
        train: rows of its training split.
        scored: rows of each other split that has labels.
    """

    name: str
    train: int
    scored: tuple[int, ...]


def known_data_set(names: Sequence[str]) -> DataSet | None:
    """The known data set that the words of metadata name: its own, and its configuration's.

    None if they name none, or one of several without saying which.
    """
    words = [word.lower() for name in names for word in islice(_WORD.findall(name), 20)]
    heads = {_ALIASES.get(word, word) for word in words}
    found = {
        key
        for key in _SIZES
        if key in heads or (key.partition("/")[0] in heads and key.partition("/")[2] in words)
    }
    # "glue sst2" also names sst2 itself.
    found -= {"sst2"} if "glue/sst2" in found else set()
    found -= {"emotion"} if "tweet_eval/emotion" in found else set()
    if len(found) != 1:
        return None
    name = found.pop()
    train, *others = _SIZES[name]
    return DataSet(name, train, tuple(rows for rows in others if rows))
