"""From one step's images to each anchor's similarities: (positive, negative, valid), what every loss takes."""

import torch
from torch import Tensor

from heads.models.embedding_heads import Head

Lists = tuple[Tensor, Tensor, Tensor]  # positive (S, A, P), negative (S, A, N), valid (S, A, N)


def in_batch_lists(head: Head, encoded: Tensor, codes: Tensor, *, paired: bool) -> Lists:
    """Every other group's image in the batch is a negative; each image is encoded once.

    encoded (S, M, K, E), codes (S, M, K): M blocks of K images of one group. With `paired` (K = 2, query side first)
    queries meet gallery images only, in both directions; else all B = M * K images are anchors, and an anchor's
    positives are the other images of its block.
    """
    seeds, blocks, images, width = encoded.shape
    if paired:
        left, right = encoded[:, :, 0], encoded[:, :, 1]
        forth = head.block(left, right)  # (S, M, M)
        other = codes[:, :, None, 0] != codes[:, None, :, 1]
        # A classifier of pairs sees (query, gallery) in that order only: the way back is the transpose.
        similarity = torch.cat([forth, forth.mT], 1)  # (S, 2M, M)
        positive = forth.diagonal(dim1=1, dim2=2).repeat(1, 2).unsqueeze(2)
        return positive, similarity, torch.cat([other, other.mT], 1)
    flat = encoded.reshape(seeds, blocks * images, width)
    similarity = head.block(flat, flat)  # (S, B, B)
    partner = _partners(blocks, images, flat.device).expand(seeds, -1, -1)
    code = codes.reshape(seeds, -1)
    return similarity.gather(2, partner), similarity, code.unsqueeze(2) != code.unsqueeze(1)


def _partners(blocks: int, images: int, device: torch.device) -> Tensor:
    """(1, M * K, K - 1): the columns of each image's block, without its own."""
    place = torch.arange(blocks * images, device=device)
    own = place // images * images
    shift = 1 + torch.arange(images - 1, device=device)
    return (own[:, None] + (place[:, None] % images + shift) % images).unsqueeze(0)


def explicit_lists(head: Head, anchor: Tensor, positive: Tensor, negative: Tensor) -> Lists:
    """Negatives chosen for each anchor: anchor (S, A, E), positive (S, A, E), negative (S, A, N, E)."""
    against = head.rowwise(anchor, torch.cat([positive.unsqueeze(2), negative], 2))
    scores = against[:, :, 1:]
    return against[:, :, :1], scores, torch.ones_like(scores, dtype=torch.bool)


def positives_to_negatives(
    head: Head, encoded: Tensor, similarity: Tensor, chosen: Tensor | None, *, paired: bool
) -> Tensor:
    """Similarity of each anchor's positives to its negatives (S, A, P, N), in the order of the lists.

    encoded (S, M, K, E) and `similarity`, the negatives' list, are those of `in_batch_lists`; or chosen (S, M, N, E)
    are negatives of each block's first image, as in `explicit_lists`.
    """
    if chosen is not None:
        return head.rowwise(encoded[:, :, 1], chosen).unsqueeze(2)
    if paired:  # a query's positive and negatives are gallery images, and the other way round
        left, right = encoded[:, :, 0], encoded[:, :, 1]
        return torch.cat([head.block(right, right), head.block(left, left)], 1).unsqueeze(2)
    return similarity[:, _partners(*encoded.shape[1:3], encoded.device)[0]]
