"""Uploads are decoded in processes with a time limit: a picture that takes long delays no other."""

import atexit
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from queue import LifoQueue

import psutil
from PIL import Image

from data.images.decode import Unusable, decode
from data.preparation.check import end_with_parent

SECONDS = 5.0  # for one picture: a photo of 20 megapixels takes half a second
START = 60.0  # for a process to start on a busy machine
PROCESSES = 2


class DecodeProcess:
    """One process; it is started for the first picture, and again after one that took too long."""

    def __init__(self) -> None:
        self._started: tuple[ProcessPoolExecutor, int] | None = None  # with the number of its process

    def decode(self, content: bytes, *, seconds: float = SECONDS) -> Image.Image:
        """RGB, as `data.images.decode.decode` gives it.

        Raises:
            Unusable: as `decode` does, or the time is over.
        """
        try:
            return self._executor().submit(decode, content).result(seconds)
        except TimeoutError:
            self.close()
            raise Unusable("huge", f"takes more than {seconds:g} seconds to decode") from None
        except (BrokenProcessPool, MemoryError):
            self.close()
            raise Unusable("huge", "the process that decodes it died: not enough memory") from None

    def close(self) -> None:
        """End the process, if there is one."""
        if self._started is not None:
            executor, process = self._started
            self._started = None
            with suppress(psutil.NoSuchProcess):
                psutil.Process(process).kill()
            executor.shutdown(cancel_futures=True)

    def _executor(self) -> ProcessPoolExecutor:
        if self._started is None:
            executor = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent)
            self._started = executor, executor.submit(os.getpid).result(START)
        return self._started[0]


def decode_in_process(content: bytes) -> Image.Image:
    """`DecodeProcess.decode` by whichever process is free.

    Raises:
        Unusable: as `DecodeProcess.decode` does.
    """
    process = _free.get()
    try:
        return process.decode(content)
    finally:
        _free.put(process)


_free: LifoQueue[DecodeProcess] = LifoQueue()
for _ in range(PROCESSES):
    _one = DecodeProcess()
    atexit.register(_one.close)
    _free.put(_one)
