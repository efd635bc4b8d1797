"""Decoding in a process: the same pixels, the same reasons, and an end after some seconds."""

import multiprocessing
import time
from io import BytesIO
from multiprocessing.connection import Connection

import numpy as np
import pytest
from PIL import Image
from small_images import encode

from data.errors import Unusable
from data.images.decode import decode
from pipeline.demo.decode_process import DecodeProcess


@pytest.fixture(scope="module")
def process():
    process = DecodeProcess()
    yield process
    process.close()


def test_the_same_picture_and_the_same_reason(process):
    content = encode(3)
    np.testing.assert_array_equal(process.decode(content, seconds=60), decode(content))
    for bad in (b"", b"<html>", content[:100]):
        with pytest.raises(Unusable) as here:
            decode(bad)
        with pytest.raises(Unusable) as there:
            process.decode(bad, seconds=60)
        assert str(there.value) == str(here.value)


def test_what_takes_long_ends_and_the_next_picture_is_decoded(process):
    process.decode(encode(1), seconds=60)  # started
    slow = BytesIO()
    Image.effect_noise((5000, 5000), 90).convert("RGB").save(slow, "JPEG", progressive=True)
    start = time.monotonic()
    with pytest.raises(Unusable, match=r"huge: takes more than 0\.01 seconds"):
        process.decode(slow.getvalue(), seconds=0.01)
    assert time.monotonic() - start < 20
    np.testing.assert_array_equal(process.decode(encode(2), seconds=60), decode(encode(2)))


def test_a_process_that_died_is_told_and_started_again(process):
    process.decode(encode(1), seconds=60)
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
    with pytest.raises(Unusable, match="died"):
        process.decode(encode(1), seconds=60)
    process.decode(encode(1), seconds=60)


@pytest.mark.timeout(60)
def test_a_process_killed_while_it_sends_a_picture_holds_up_nobody(process, monkeypatch):
    process.decode(encode(1), seconds=60)
    large, whole = BytesIO(), Connection._recv
    Image.new("RGB", (2000, 1000)).save(large, "PNG")

    def recv(self, size, *more):
        if size > 1 << 20:  # of the picture only what fits into a pipe is on its way
            for child in multiprocessing.active_children():
                child.kill()
                child.join()
        return whole(self, size, *more)

    with monkeypatch.context() as patch, pytest.raises(Unusable, match="died"):
        patch.setattr(Connection, "_recv", recv)
        process.decode(large.getvalue(), seconds=5)
    process.decode(encode(1), seconds=60)
