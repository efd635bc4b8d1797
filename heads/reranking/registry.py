"""Re-ranking by name: `scores.rerank`."""

from collections.abc import Callable

from numpy.typing import ArrayLike

from heads.errors import HeadError
from heads.reranking.csls import csls
from heads.reranking.one_to_one import one_to_one
from heads.reranking.query_expansion import query_expansion
from heads.similarity import Similarity


def k_reciprocal(similarity: Similarity, *, queries: ArrayLike, gallery: ArrayLike) -> Similarity:
    from heads.reranking.k_reciprocal import k_reciprocal  # imports scipy.sparse, which only this method needs

    return k_reciprocal(similarity, queries=queries, gallery=gallery)


METHODS: dict[str, Callable[..., Similarity]] = {
    "csls": csls,
    "one_to_one": one_to_one,
    "query_expansion": query_expansion,
    "k_reciprocal": k_reciprocal,
}


def rerank(method: str, similarity: Similarity, *, queries: ArrayLike, gallery: ArrayLike) -> Similarity:
    """`similarity` as `method` corrects it, for rows `queries` (Q,) and `gallery` (G,). All are transductive: a
    similarity depends on the other queries, so scores are comparable only with those of the same queries.

    Raises:
        HeadError: no such method, too few queries, or as the method says.
    """
    if method not in METHODS:
        raise HeadError(f"no re-ranking '{method}'; known: {', '.join(METHODS)}")
    return METHODS[method](similarity, queries=queries, gallery=gallery)
