"""Embed every review of a workspace with its frozen base: `python -m dev.study.embed WORKSPACE`.

The workspace is one in which a card's `tokenize` stage ran. Each review becomes the mean of its
last hidden states, as the stand-in encoder was trained to give, of at most 256 tokens. Finished
parts are kept, so that the same command goes on where it was stopped.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import AutoModel, PreTrainedModel

from cardproof.files import working_folder
from cardproof.model.tokens import TokenStore, open_tokens
from cardproof.model.unpadded.batches import batches_by_tokens

EMBEDDINGS = Path(".dvc/tmp/study/embeddings")
PART, BATCH_TOKENS = 2_500, 4_096
LONGEST = 256  # tokens: of sentence-transformers/all-MiniLM-L6-v2, by its model card
Floats = NDArray[np.float32]


def main() -> None:
    """Write embeddings, labels and row numbers of all sets, part by part."""
    parser = argparse.ArgumentParser(prog="python -m dev.study.embed", description=__doc__)
    parser.add_argument("workspace", type=Path)
    workspace = parser.parse_args().workspace
    model = AutoModel.from_pretrained(workspace / "data/base", use_safetensors=True).eval()
    for name in ("train", "validation", "test"):
        store = open_tokens(workspace / "data/tokens" / name)
        for first in tqdm(range(0, len(store), PART), desc=name, unit=" parts"):
            target = EMBEDDINGS / f"{name}-{first:05d}"
            if target.is_dir():
                continue
            places = np.arange(first, min(first + PART, len(store)))
            found = _embed(model, store, places)
            with working_folder(target) as folder:
                np.save(folder / "vectors.npy", found.astype(np.float16))
                np.save(folder / "labels.npy", np.asarray(store.labels)[places])
                np.save(folder / "rows.npy", _rows(workspace, name)[places])


def _rows(workspace: Path, name: str) -> NDArray[np.int64]:
    """The numbers that a set's reviews have in their file."""
    split = pq.ParquetFile(workspace / f"data/split/{name}.parquet")
    return np.asarray(split.read(columns=["row"])["row"])


def _embed(model: PreTrainedModel, store: TokenStore, places: NDArray[np.int64]) -> Floats:
    """Mean last hidden states of some reviews; shape (reviews, width)."""
    vectors: list[tuple[NDArray[np.int64], Floats]] = list(_batches(model, store, places))
    found = np.empty((len(places), vectors[0][1].shape[1]), dtype=np.float32)
    for rows, values in vectors:
        found[rows] = values
    return found


def _batches(
    model: PreTrainedModel, store: TokenStore, places: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        lengths = np.minimum(np.asarray(store.lengths)[places], LONGEST)
        for rows in batches_by_tokens(lengths, BATCH_TOKENS):
            ids = [_truncated(store.row(int(places[row]))) for row in rows]
            mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
            states = model(
                input_ids=pad_sequence(ids, batch_first=True), attention_mask=mask
            ).last_hidden_state.float()
            mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            yield rows, mean.numpy()


def _truncated(ids: NDArray[Any]) -> torch.Tensor:
    """The start of a review, and its closing token."""
    whole = ids.astype(np.int64)
    return torch.from_numpy(
        np.append(whole[: LONGEST - 1], whole[-1]) if len(whole) > LONGEST else whole
    )


if __name__ == "__main__":
    main()
