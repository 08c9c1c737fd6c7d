"""How many floating-point operations the model takes, whoever computes them and however.

A product of (a, b) by (b, c) counts 2abc. A token's forward pass takes 2 operations for each
parameter of the layers' matrices; attention takes 4nd more for each token and layer (n tokens in
the review, width d: scores and weighted sum, 2nd each). The backward pass takes twice the forward
pass, so that training takes three times the forward pass (Kaplan et al. 2020, section 2.1).
Embeddings, norms, activations, dropout, softmax and the optimizer count nothing. Padding counts
nothing, and neither does work that an implementation leaves out count less.
"""

from collections.abc import Iterable
from dataclasses import dataclass

TRAINING = 3  # forward, gradients of inputs, gradients of weights


@dataclass(frozen=True)
class Shape:
    """The sizes of a DistilBERT encoder: layers, width, and width of the feed-forward part."""

    layers: int = 6
    width: int = 768
    hidden: int = 3072

    @property
    def layer_parameters(self) -> int:
        """Parameters in the matrices of one layer: four of the attention, two feed-forward."""
        return 4 * self.width**2 + 2 * self.width * self.hidden


def forward_flops(lengths: Iterable[int], shape: Shape) -> float:
    """Operations of a forward pass over reviews of `lengths` tokens, each token in each layer."""
    total = 0
    for n in lengths:
        products = 2 * n * shape.layer_parameters
        attention = 4 * n**2 * shape.width
        total += shape.layers * (products + attention) + _head(shape)
    return float(total)


def forward_flops_needed(lengths: Iterable[int], shape: Shape) -> float:
    """The same without what no logit depends on: of the last layer only the first token's.

    There, keys and values of all tokens are needed, and all else of the first token alone.
    """
    total = 0
    for n in lengths:
        full = 2 * n * shape.layer_parameters + 4 * n**2 * shape.width
        keys_and_values = 2 * n * 2 * shape.width**2
        first = 2 * (shape.layer_parameters - 2 * shape.width**2) + 4 * n * shape.width
        total += (shape.layers - 1) * full + keys_and_values + first + _head(shape)
    return float(total)


def _head(shape: Shape) -> int:
    """The classifier over the first token: a square matrix and two labels."""
    return 2 * shape.width**2 + 2 * shape.width * 2
