"""Files with a few places changed: 200 of each, the same in every run."""

from collections.abc import Callable

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

CASES = 200


def fuzzed(whole: bytes, *, cases: int = CASES) -> Callable[[Callable[[bytes], None]], Callable[[], None]]:
    """Decorator: the test of one content runs with `cases` mutations of `whole`."""

    def decorate(test: Callable[[bytes], None]) -> Callable[[], None]:
        repeatable = settings(max_examples=cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        return seed(0)(repeatable(given(mutated(whole))(test)))

    return decorate


def mutated(whole: bytes) -> st.SearchStrategy[bytes]:
    """`whole` with a few places changed, cut, repeated or filled."""
    change = st.tuples(st.integers(0, len(whole)), st.integers(0, 3), st.binary(max_size=20))

    def apply(changes: list[tuple[int, int, bytes]]) -> bytes:
        content = whole
        for place, kind, new in changes:
            match kind:
                case 0:
                    content = content[:place] + new + content[place + len(new) :]
                case 1:
                    content = content[:place] + new + content[place:]
                case 2:
                    content = content[:place]
                case 3:
                    content = content[:place] + content[place + 10 * len(new) :]
        return content

    return st.lists(change, min_size=1, max_size=4).map(apply)
