"""Uploads are decoded in processes with a time limit: a picture that takes long delays no other."""

import atexit
from queue import LifoQueue

from PIL import Image

from data.images.decode import Unusable, decode
from data.worker import Worker, WorkerDied

SECONDS = 5.0  # for one picture: a photo of 20 megapixels takes half a second
PROCESSES = 2


class DecodeProcess:
    """One process; it is started for the first picture, and again after one that took too long."""

    def __init__(self) -> None:
        self._worker: Worker[bytes, tuple[tuple[int, int], bytes]] | None = None

    def decode(self, content: bytes, *, seconds: float = SECONDS) -> Image.Image:
        """RGB, as `data.images.decode.decode` gives it.

        Raises:
            Unusable: as `decode` does, or the time is over.
        """
        try:
            if self._worker is None:
                self._worker = Worker(_decode)
            self._worker.send(content)
            size, pixels = self._worker.receive(seconds=seconds)
        except TimeoutError:
            self.close()
            raise Unusable("huge", f"takes more than {seconds:g} seconds to decode") from None
        except (WorkerDied, MemoryError):
            self.close()
            raise Unusable("huge", "the process that decodes it died: not enough memory") from None
        return Image.frombytes("RGB", size, pixels)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _decode(content: bytes) -> tuple[tuple[int, int], bytes]:
    picture = decode(content)
    return picture.size, picture.tobytes()


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
