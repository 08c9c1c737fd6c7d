"""Makes the sample's reviews, the same bytes each time: `python -m sample.make_reviews`.

Each review is a walk through the grammar: an opening, some plot, remarks that mostly agree with
its label, and a verdict. Praise comes in words of blame and the other way round, so that counting
words is not enough; one label in fifty contradicts its text, as such labels do.
"""

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from cardproof.files import sha256_of

PHRASES = YAML(typ="safe").load(
    (Path(__file__).parent / "phrases.yaml").read_text(encoding="utf-8")
)
FOLDER = Path("sample/hub/datasets/cardproof/sample-reviews/plain_text")
ROWS = {"train": 1200, "test": 1000}
SEED = 20261121
MISLABELLED = 0.02
HELD_BACK = 0.1  # of each inventory: phrases that only test reviews use

STYLES = ("", "_negated", "_conceding", "_ironic")
REMARKS = {
    label: [PHRASES[f"{side}{style}"] for style in STYLES]
    for label, side in ((1, "praise"), (0, "blame"))
}
KINDS = (0.46, 0.22, 0.22, 0.10)  # how often: plain, and then as in STYLES
AGREEING = 0.97  # of the remarks that take a side, those on the label's side
WITH_VERDICT = 0.9  # reviews that end in a verdict; the others leave it to the reader
LENGTHS = (2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 10, 13)  # sentences


class Writer:
    """Writes reviews from one stream of random numbers.

    Args:
        seed: of that stream.
        whole: use every phrase; otherwise a tenth of each inventory is held back.
    """

    def __init__(self, seed: int, *, whole: bool) -> None:
        self._random = random.Random(seed)
        self._whole = whole
        self._said: set[str] = set()  # phrases and fillings of the review at hand
        self._fixed: dict[str, str] = {}  # what stays the same throughout a review

    def review(self, label: int) -> str:
        """A review that means `label`, 20 to 300 words long."""
        while True:
            self._said = set()
            self._fixed = {s: self._random.choice(PHRASES["slots"][s]) for s in ("title", "genre")}
            text = self._dress(list(self._sentences(label)))
            if 20 <= len(text.split()) <= 300:
                return text

    def _sentences(self, label: int) -> Iterator[str]:
        yield self._say(PHRASES["openings"])
        for _ in range(self._random.choice(LENGTHS)):
            draw = self._random.random()
            if draw < 0.18:
                yield self._say(PHRASES["plots"])
            elif draw < 0.30:
                yield self._say(PHRASES["facts"])
            elif draw < 0.37:
                yield self._say(PHRASES["mixed"])
            elif draw < 0.41:
                yield self._say(PHRASES["asides"])
            else:
                yield self._remark(label)
        yield self._remark(label, agreeing=0.99)
        if self._random.random() < WITH_VERDICT:
            yield self._say(PHRASES["verdict_good"] if label else PHRASES["verdict_bad"])

    def _remark(self, label: int, agreeing: float = AGREEING) -> str:
        side = label if self._random.random() < agreeing else 1 - label
        return self._say(self._random.choices(REMARKS[side], KINDS)[0])

    def _say(self, inventory: list[str]) -> str:
        """A phrase of the inventory with its slots filled, its first letter a capital."""
        text = re.sub(r"\{(\w+)\}", self._fill, self._choose(inventory))
        text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
        return text[0].upper() + text[1:]

    def _fill(self, slot: re.Match[str]) -> str:
        return self._fixed.get(slot[1]) or self._choose(PHRASES["slots"][slot[1]])

    def _choose(self, inventory: list[str]) -> str:
        """One that this review has not used yet, while there is one."""
        known = inventory if self._whole else inventory[: -max(1, int(len(inventory) * HELD_BACK))]
        choice = self._random.choice([p for p in known if p not in self._said] or known)
        self._said.add(choice)
        return choice

    def _dress(self, sentences: list[str]) -> str:
        """Join sentences as people type them: breaks, capitals, slips, odd characters."""
        sentences = [self._slip(s) for s in sentences]
        breaks: list[int] = []
        if len(sentences) > 5 and self._random.random() < 0.55:
            breaks = self._random.sample(
                range(1, len(sentences)), self._random.choice((1, 1, 2, 3))
            )
        text = sentences[0]
        for i, sentence in enumerate(sentences[1:], start=1):
            text += ("<br /><br />" if i in breaks else " ") + sentence
        return text

    def _slip(self, sentence: str) -> str:
        draw = self._random.random()
        if draw < 0.015:
            return sentence.upper()
        if draw < 0.045:
            return sentence.rstrip(".") + self._random.choice(("...", "!", "!!", " :-)", "\u2026"))
        if draw < 0.075:
            at = self._random.randrange(1, len(sentence) - 1)  # two letters change places
            return sentence[: at - 1] + sentence[at] + sentence[at - 1] + sentence[at + 1 :]
        if draw < 0.085:
            return sentence.replace(" ", self._random.choice(("\u00a0", "\u0085", "  ")), 1)
        if draw < 0.11:
            return sentence.replace("'", "\u2019").replace("; ", " \u2013 ")
        return sentence


def make_corpus() -> dict[str, list[tuple[str, int]]]:
    """The texts and labels of train and test, negative rows first.

    Three texts of train stand there twice and two stand in both, as in the real reviews.
    """
    corpus = {}
    for offset, (split, rows) in enumerate(ROWS.items()):
        writer = Writer(SEED + offset, whole=split == "test")
        labels = random.Random(SEED - offset)
        reviews = []
        for label in (0, 1):
            for _ in range(rows // 2):
                turned = labels.random() < MISLABELLED
                reviews.append((writer.review(1 - label if turned else label), label))
        corpus[split] = reviews
    train, test = corpus["train"], corpus["test"]
    for copy, original in ((300, 20), (500, 31), (1000, 800)):
        train[copy] = train[original]
    for row in (40, 560):
        test[row] = train[row * 2]
    return corpus


def write_corpus(folder: Path) -> list[Path]:
    """Write both splits as parquet, as the hub has IMDb; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for split, reviews in make_corpus().items():
        texts, labels = zip(*reviews, strict=True)
        table = pa.table({"text": pa.array(texts), "label": pa.array(labels, pa.int64())})
        path = folder / f"{split}-00000-of-00001.parquet"
        beside = path.with_suffix(".new")
        pq.write_table(table, beside, compression="zstd", compression_level=19)
        paths.append(beside.replace(path))
    return paths


def main() -> None:
    """Write the corpus, or with --check compare it with the one that is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="compare with the files that are there"
    )
    if not parser.parse_args().check:
        for path in write_corpus(FOLDER):
            print(f"{path}: {path.stat().st_size:,} bytes, sha256 {sha256_of(path)}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        made = write_corpus(Path(scratch))
        differing = [p.name for p in made if sha256_of(p) != sha256_of(FOLDER / p.name)]
    sys.exit(f"not what this script makes: {', '.join(differing)}" if differing else None)


if __name__ == "__main__":
    main()
