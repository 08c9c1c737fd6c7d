"""Makes the data that measurements run on; nothing here is measured."""

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cardproof.model.loading import load_word_pieces
from cardproof.model.tokens import read_batches, write_tokens

SEED = 1
ROWS_AT_ONCE = 5000


def draw_reviews(source: str, rows: int, target: str) -> dict[str, int]:
    """Draw `rows` reviews at random into a parquet file, whole, each once while they last."""
    write_multiple(source, rows, target)
    return {"rows": rows}


def write_multiple(source: str, rows: int, target: str, cut: int | None = None) -> dict[str, int]:
    """Write `rows` reviews in random order, as many times the source's as that takes.

    From the second time on each text gets a number in front, so that no text stands there twice
    that did not in the source. Memory holds the source once.

    Args:
        source: a parquet file with the columns text and label.
        rows: reviews to write.
        target: the parquet file to write.
        cut: characters to keep of each text; None for all.
    """
    table = pq.read_table(source, columns=["text", "label"])
    texts, labels = table["text"].to_pylist(), table["label"].to_pylist()
    schema = pa.schema([("text", pa.string()), ("label", pa.int64())])
    with pq.ParquetWriter(target, schema) as writer:
        for chunk in _chunks(_places(len(texts), rows)):
            copies, places = np.divmod(chunk, len(texts))
            written = [
                (f"{copy}. " if copy else "") + texts[place][:cut]
                for copy, place in zip(copies.tolist(), places.tolist(), strict=True)
            ]
            chosen = [int(labels[place]) for place in places.tolist()]
            writer.write_table(pa.table({"text": written, "label": chosen}, schema=schema))
    return {"rows": rows}


def _places(source_rows: int, rows: int) -> NDArray[np.int64]:
    """Numbers of rows in the source repeated without end, in random order; shape (rows,)."""
    random = np.random.default_rng(SEED)
    whole = -(-rows // source_rows) - 1  # all that are used once and again
    last = random.permutation(source_rows)[: rows - whole * source_rows] + whole * source_rows
    return random.permutation(np.concatenate([np.arange(whole * source_rows), last]))


def _chunks(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [places[i : i + ROWS_AT_ONCE] for i in range(0, len(places), ROWS_AT_ONCE)]


def write_store(reviews: str, word_pieces: str, max_length: int, folder: str) -> dict[str, int]:
    """Tokenize a parquet file into a token store in `folder`."""
    Path(folder).mkdir(parents=True)
    tokenizer = load_word_pieces(Path(word_pieces))
    store = write_tokens(read_batches(Path(reviews)), tokenizer, max_length, Path(folder))
    return {"rows": len(store), "tokens": len(store.ids), "longest": int(store.lengths.max())}


def shorten(folder: str, characters: int) -> dict[str, int]:
    """Cut the texts of each parquet file in `folder` to their first `characters`."""
    files = sorted(Path(folder).glob("*.parquet"))
    for path in files:
        short = path.with_suffix(".short")
        with pq.ParquetFile(path) as file, pq.ParquetWriter(short, file.schema_arrow) as writer:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                texts = pa.array([t[:characters] for t in batch["text"].to_pylist()], pa.string())
                index = batch.schema.get_field_index("text")
                writer.write_batch(batch.set_column(index, "text", texts))
        short.replace(path)
    return {"files": len(files)}


def hold_memory(mib: int) -> dict[str, int]:
    """Hold some memory for a moment: to test what watches it."""
    held = np.ones(mib * 2**17)  # of eight bytes each
    time.sleep(0.2)
    return {"elements": len(held)}
