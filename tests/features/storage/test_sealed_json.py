import json
from contextlib import suppress

import pytest

from features.storage.sealed_json import seal, unseal

ABOUT = {"name": "ü\n", "number": 0.1, "list": [1, 2.5, None, True], "inner": {"b": 1, "a": [[]]}}


def test_it_comes_back_and_equal_values_give_equal_bytes():
    assert unseal(seal(ABOUT)) == ABOUT
    assert seal(dict(reversed(ABOUT.items()))) == seal(ABOUT)
    assert unseal(json.dumps(json.loads(seal(ABOUT))).encode()) == ABOUT  # blanks mean nothing


def test_one_changed_bit_anywhere_is_an_error_or_changes_no_value():
    content = seal(ABOUT)
    for place in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        with suppress(ValueError):
            assert unseal(bytes(damaged)) == ABOUT, place  # \u00fc and \u00FC are one letter


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"[]", b"\xff", b"[" * 100_000, b"1" * 9000])
def test_something_else_is_an_error(content):
    with pytest.raises(ValueError):
        unseal(content)
