"""The form of every correction here: the similarity less an amount per query and per gallery row."""

import torch
from torch import Tensor

from heads.similarity import Similarity


def with_offsets(
    similarity: Similarity, queries: Tensor, gallery: Tensor, *, of_query: Tensor, of_gallery: Tensor
) -> Similarity:
    """s(q, g) - of_query(q) - of_gallery(g), for rows `queries` (Q,) and `gallery` (G,)."""
    size = int(torch.cat([queries, gallery]).max()) + 1
    left, right = of_query.new_zeros(size), of_gallery.new_zeros(size)
    left[queries.to(left.device)], right[gallery.to(right.device)] = of_query, of_gallery
    return Similarity(
        block=lambda q, g: similarity.block(q, g) - left[q][:, None] - right[g],
        pairs=lambda a, b: similarity.pairs(a, b) - left[a] - right[b],
    )
