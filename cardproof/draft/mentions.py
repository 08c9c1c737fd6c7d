"""What a card's prose mentions of its training without a value that a key takes."""

import re
from collections.abc import Iterator

from cardproof.draft.document import Document, shown
from cardproof.draft.parts import Part

# Settings that have keys; where one is mentioned without a value, a person has to read it.
_SETTINGS = {
    "train.learning_rate": r"\blearning[ -]rate\b",
    "train.scheduler": r"\bschedul\w{1,3}\b",
    "train.warmup_steps": r"\bwarm-?up\b",
    "train.weight_decay": r"\bweight[ -]decay\b",
    "train.batch_size": r"\bbatch[ -]sizes?\b",
    "train.epochs": r"\bepochs?\b",
    "train.precision": r"\bmixed[ -]precision\b",
    "train.load_best": r"\bbest[ -](?:check-?point|epoch)\b",
    "tokenize.max_length": r"\bmax(?:imum)?[ _-](?:sequence[ _-])?length\b|\btruncat",
}
# What changes a training run and has no key.
_NO_KEY = {
    "another optimizer than AdamW": r"(?-i:\bSGD\b|\bLAMB\b|\bLion\b)"
    r"|\bAdafactor\b|\bRMSprop\b|\bAdagrad\b|\bShampoo\b|8-?bit Adam",
    "gradient clipping": r"\bgradient[ -]clip|\bmax_grad_norm\b|\bclip_grad",
    "label smoothing": r"\blabel[ _-]smoothing\b",
    "early stopping": r"\bearly[ -]stopp",
    "dropout": r"\bdropout\W{1,8}(?:of |rate of |= ?)?0?\.\d",
    "frozen layers": r"\bfr(?:o|ee)z(?:en|e|ing)\b[^\n]{0,40}\blayers?\b"
    r"|\blayers?\b[^\n]{0,20}\bfrozen\b",
    "class weights": r"\bclass[ _-]weights?\b|\bfocal loss\b",
    "adapters": r"\bLoRA\b|\bPEFT\b|\badapter[ -]?tun",
    "augmentation": r"\bdata augmentation\b|\bback-?translation\b",
    "distillation": r"\bknowledge distillation\b",
}
_SETTING_PATTERNS = {key: re.compile(pattern, re.I) for key, pattern in _SETTINGS.items()}
_NO_KEY_PATTERNS = {what: re.compile(pattern, re.I) for what, pattern in _NO_KEY.items()}
_DENIED = re.compile(r"\bno\b|\bnot\b|\bwithout\b", re.I)


def read_mentions(document: Document, read: Part) -> Part:
    """What a person should look up in the card, each with the first sentence that mentions it.

    Args:
        document: the card.
        read: everything that was read of it.
    """
    return Part(unplaced=(*_unread(document, read), *_without_key(document)))


def _unread(document: Document, read: Part) -> Iterator[str]:
    for key, pattern in _SETTING_PATTERNS.items():
        if read.value(key) is None:
            sentence = next(filter(pattern.search, document.sentences), None)
            if sentence:
                yield f'"{shown(sentence)}": no value for {key} was read in it'


def _without_key(document: Document) -> Iterator[str]:
    for what, pattern in _NO_KEY_PATTERNS.items():
        matching = (one for one in document.sentences if pattern.search(one))
        sentence = next((one for one in matching if not _DENIED.search(one)), None)
        if sentence:
            yield f'"{shown(sentence)}": {what}, for which there is no key'
