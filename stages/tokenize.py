"""Tokenize the reviews with the base's tokenizer, truncated as the card says, unpadded."""

from pathlib import Path

from cardproof.files import checksummed_folder, write_json
from cardproof.recipe.identity import ORIGIN, identity_of_base, read_origin
from cardproof.recipe.schema import Tokenize
from cardproof.recipe.stages import read_stage_recipe
from cardproof.stage import run_stage

READS = {"data/base": "download", "data/split": "split"}


def main() -> None:
    """Write data/tokens/<set>/ (ids, offsets, labels, full lengths) and metrics/tokenize.json."""
    recipe = read_stage_recipe(Tokenize)
    import pyarrow.parquet as pq
    from tqdm import tqdm

    from cardproof.model.loading import load_word_pieces
    from cardproof.model.tokens import BATCH, describe_tokens, read_batches, write_tokens

    tokenizer = load_word_pieces(Path("data/base"))
    stores = {}
    with checksummed_folder(Path("data/tokens")) as folder:
        for path in sorted(Path("data/split").glob("*.parquet")):
            rows = pq.read_metadata(path).num_rows
            (folder / path.stem).mkdir()
            stores[path.stem] = write_tokens(
                tqdm(read_batches(path), path.stem, -(-rows // BATCH), unit="k reviews"),
                tokenizer,
                recipe.max_length,
                folder / path.stem,
                recipe.truncation,
            )
        facts = describe_tokens(stores)
        origin = {**read_origin(Path("data/split")), "base": identity_of_base(Path("data/base"))}
        write_json(folder / ORIGIN, origin)
    write_json(Path("metrics/tokenize.json"), facts)
    for name in stores:
        truncated = facts[f"{name}_reviews_truncated"]
        print(f"{name}: {facts[f'{name}_tokens']:,} tokens, {truncated:.1%} of reviews truncated")


if __name__ == "__main__":
    run_stage("tokenize", __doc__, main, reads=READS)
