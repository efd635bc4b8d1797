"""Uploads are decoded in processes with a time limit: a picture that takes long delays no other."""

import atexit
from contextlib import suppress
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import LifoQueue

from PIL import Image

from data.images.decode import Unusable, decode

SECONDS = 5.0  # for one picture: a photo of 20 megapixels takes half a second
START = 60.0  # for a process to start on a busy machine
PROCESSES = 2


class DecodeProcess:
    """One process; it is started for the first picture, and again after one that took too long.

    Not a ProcessPoolExecutor: it keeps the writing end of the results' pipe open, so that a process killed while it
    sends a picture (at its time limit, or without memory) leaves `shutdown` waiting for the rest for ever.
    """

    def __init__(self) -> None:
        self._started: tuple[BaseProcess, Connection] | None = None

    def decode(self, content: bytes, *, seconds: float = SECONDS) -> Image.Image:
        """RGB, as `data.images.decode.decode` gives it.

        Raises:
            Unusable: as `decode` does, or the time is over.
        """
        try:
            pipe = self._pipe()
            pipe.send_bytes(content)
            if not pipe.poll(seconds):
                self.close()
                raise Unusable("huge", f"takes more than {seconds:g} seconds to decode")
            reply = pipe.recv()
        except (EOFError, OSError, MemoryError):
            self.close()
            raise Unusable("huge", "the process that decodes it died: not enough memory") from None
        if isinstance(reply, Unusable):
            raise reply
        size, pixels = reply
        return Image.frombytes("RGB", size, pixels)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._started is not None:
            process, pipe = self._started
            self._started = None
            pipe.close()
            process.kill()
            process.join()

    def _pipe(self) -> Connection:
        """The pipe to the process, which is started if there is none."""
        if self._started is None:
            ours, theirs = Pipe()
            process = get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()  # else nothing tells when the process has died
            self._started = process, ours
            if not ours.poll(START):
                raise EOFError
            ours.recv()
        return self._started[1]


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


def _serve(pipe: Connection) -> None:
    """Decode what comes until the other side is gone."""
    with suppress(EOFError, OSError, KeyboardInterrupt):
        pipe.send("ready")
        while True:
            content = pipe.recv_bytes()
            try:
                picture = decode(content)
                reply = (picture.size, picture.tobytes())
            except Unusable as why:
                reply = why
            except MemoryError:
                reply = Unusable("huge", "not enough memory")
            pipe.send(reply)


_free: LifoQueue[DecodeProcess] = LifoQueue()
for _ in range(PROCESSES):
    _one = DecodeProcess()
    atexit.register(_one.close)
    _free.put(_one)
