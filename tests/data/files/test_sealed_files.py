import numpy as np
import pytest

from data.files.sealed_files import is_whole, sealed_file


def test_whole_as_it_was_written_and_not_with_one_bit_changed_or_cut(tmp_path):
    path = tmp_path / "numbers"
    content = np.arange(300_000, dtype="<i8")  # more than is read at a time
    with sealed_file(path) as file:
        file.write(b"head")
        file.write(content.data)
    written = path.read_bytes()
    assert written[:4] == b"head" and len(written) == 4 + content.nbytes + 32 and is_whole(path)
    for place in (0, len(written) // 2, len(written) - 1):
        damaged = bytearray(written)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert not is_whole(path)
    for part in (written[:-1], written[:40], written[:8], b""):
        path.write_bytes(part)
        assert not is_whole(path)


def test_a_failure_leaves_no_file(tmp_path):
    with pytest.raises(ValueError), sealed_file(tmp_path / "part") as file:
        file.write(b"half")
        raise ValueError
    assert not is_whole(tmp_path / "part") and not list(tmp_path.iterdir())
