"""Features as they are stored: in float16, which changes 0.1 % of the images among the best two of a list."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from features.errors import FeatureError


def to_float16(features: Tensor, name: Callable[[int], str]) -> np.ndarray:
    """(n, ...) float32 on the CPU -> the same in float16.

    Args:
        name: of the image at a position, for the error.

    Raises:
        FeatureError: a feature is NaN, infinite, or too large for float16.
    """
    half = features.half().numpy()
    bad = ~np.isfinite(half).reshape(len(half), -1).all(1)
    if bad.any():
        first = int(bad.argmax())
        what = "beyond float16 (65504)" if features[first].isfinite().all() else "NaN or infinite"
        raise FeatureError(
            f"{name(first)}: its features are {what}; set features.dtype to float32, "
            "or look at the weights and the image"
        )
    return half
