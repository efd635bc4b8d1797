from hypothesis import given
from hypothesis import strategies as st

from data.components import components, components_by_label


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=3), max_size=12))
def test_components_are_the_connected_components(labels):
    number = components_by_label(labels)
    reach = [{index} for index in range(len(labels))]
    for _ in labels:  # the oracle: grow until nothing joins any more
        for i, mine in enumerate(labels):
            for j, yours in enumerate(labels):
                if set(mine) & set(yours):
                    reach[i] |= reach[j]
    for i in range(len(labels)):
        assert {j for j in range(len(labels)) if number[j] == number[i]} == reach[i]


def test_components_are_numbered_in_order_of_first_appearance():
    assert components(5, [(3, 0), (4, 2)]) == [0, 1, 2, 0, 2]
    assert components(3, []) == [0, 1, 2]
    assert components(0, []) == []
