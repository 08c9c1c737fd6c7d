"""Dropout masks that cost little on a CPU, where torch draws them element by element.

64 random bits come out of a small fast generator at once and are split into lanes of the size of an
element. An element is dropped where its lane is below a threshold. The generator is seeded out of
torch's, so a restored state of torch's generator repeats the masks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

_LANES = {2: torch.int16, 4: torch.int32}  # by the bytes of an element


class MaskBits:
    """The random bits of the masks of one forward pass."""

    def __init__(self) -> None:
        """Take a seed from torch's CPU generator."""
        seed = torch.randint(2**63 - 1, ()).item()
        self._bits = np.random.SFC64(int(seed))

    def lanes(self, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
        """Uniform draws from 0 to 2^(bits - 1) - 1; int16 or int32, as wide as `dtype`."""
        elements, size = shape.numel(), dtype.itemsize
        words = torch.from_numpy(self._bits.random_raw(-(-elements * size // 8)).view(np.int64))
        lanes = words.view(_LANES[size])[:elements]
        return lanes.bitwise_and_(torch.iinfo(lanes.dtype).max).view(shape)


@dataclass(frozen=True)
class Dropout:
    """Dropout with probability `p`, rounded to what a lane can show: to 2^-15 in 16 bits."""

    p: float
    bits: MaskBits

    def threshold(self, dtype: torch.dtype) -> int:
        """Lanes below it are dropped."""
        largest = torch.iinfo(_LANES[dtype.itemsize]).max
        return min(max(round(self.p * (largest + 1)), 1), largest)

    def scale(self, dtype: torch.dtype) -> float:
        """What the kept elements are multiplied by: 1 / (1 - the probability realised)."""
        lanes = torch.iinfo(_LANES[dtype.itemsize]).max + 1
        return lanes / (lanes - self.threshold(dtype))

    def keep_mask(self, like: torch.Tensor) -> torch.Tensor:
        """An integer for each element of `like`: all bits set where it is kept, else none."""
        lanes = self.bits.lanes(like.shape, like.dtype)
        # Below zero, and so -1 once the sign is shifted all the way down, where it is kept.
        lanes.sub_(torch.iinfo(lanes.dtype).max + 1 - self.threshold(like.dtype))
        return lanes.bitwise_right_shift_(8 * lanes.itemsize - 1)

    def sign_mask(self, like: torch.Tensor) -> torch.Tensor:
        """An integer for each element of `like`: the sign bit set where it is dropped."""
        lanes = self.bits.lanes(like.shape, like.dtype)
        lanes.sub_(self.threshold(like.dtype))
        return lanes.bitwise_and_(torch.iinfo(lanes.dtype).min)


def apply_mask(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`x` with zeros where the keep mask drops: an AND is several times faster than a product."""
    return x.view(mask.dtype).bitwise_and(mask).view(x.dtype)


def apply_signs_(x: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    """Negate, in place, what a sign mask drops out of the non-negative `x`."""
    x.view(signs.dtype).bitwise_or_(signs)
    return x


def dropout(x: torch.Tensor, with_masks: Dropout | None) -> torch.Tensor:
    """`x` with dropout; None for none."""
    if with_masks is None:
        return x
    if x.device.type != "cpu":
        return functional.dropout(x, with_masks.p)
    mask, factor = with_masks.keep_mask(x), with_masks.scale(x.dtype)
    dropped: torch.Tensor = _Masked.apply(x, mask, factor)  # type: ignore[no-untyped-call]
    return dropped


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mask: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.save_for_backward(mask)
        ctx.factor = factor
        return apply_mask(x, mask).mul_(factor)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return apply_mask(gradient.contiguous(), mask).mul_(ctx.factor), None, None
