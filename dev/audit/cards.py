"""A collection of model cards of the hub, read one at a time."""

import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from cardproof.audit import Audit, audit_bytes

COLLECTION = Path("../shared/model_cards.tar.gz")


def stream(collection: Path = COLLECTION) -> Iterator[tuple[str, bytes]]:
    """Name, as on the hub with `_` for `/`, and content of every card of a collection."""
    with tarfile.open(collection) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file:
                yield Path(member.name).name.removesuffix("_README.md"), file.read()


def audited(collection: Path = COLLECTION) -> Iterator[tuple[str, Audit, float]]:
    """Name, audit and seconds of processor time of every card."""
    for name, data in stream(collection):
        start = time.process_time()
        audit = audit_bytes(data)
        yield name, audit, time.process_time() - start
