"""A process that computes for this one: a pipe in between, and its death is noticed at any moment."""

from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")
START = 60.0  # seconds for a process to start on a busy machine


class WorkerDied(Exception):
    """The process of a worker has ended, for want of memory or because it was killed."""


class Worker(Generic[Argument, Result]):
    """One process that applies `function`, a module's own, to what is sent; it ends when this process does.

    Not a ProcessPoolExecutor: it keeps the writing end of the results' pipe open, so that a process killed while it
    sends a large result leaves everybody waiting for the rest for ever.
    """

    def __init__(self, function: Callable[[Argument], Result]) -> None:
        self._pipe, theirs = Pipe()
        # spawn: a fork does not go together with threads, as pyarrow has them
        self._process = get_context("spawn").Process(target=_serve, args=(theirs, function), daemon=True)
        self._process.start()
        theirs.close()  # else nothing tells that the process has died
        self._started = False

    def send(self, argument: Argument) -> None:
        """One argument; its result must be received before the next one is sent.

        Raises:
            WorkerDied: as it says.
        """
        try:
            self._pipe.send(argument)
        except OSError:
            raise WorkerDied from None

    def receive(self, *, seconds: float | None = None) -> Result:
        """The result of what was sent, or the exception that `function` raised.

        Raises:
            TimeoutError: it takes more than `seconds`, after the start of the process.
            WorkerDied: as it says.
        """
        try:
            if not self._started and seconds is not None and not self._pipe.poll(START):
                raise WorkerDied
            if not self._started:
                self._pipe.recv()
            self._started = True
            if seconds is not None and not self._pipe.poll(seconds):
                raise TimeoutError
            result = self._pipe.recv()
        except TimeoutError:
            raise
        except (EOFError, OSError):
            raise WorkerDied from None
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        """End the process, whatever it does."""
        self._pipe.close()
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """Apply `function` to what comes, until the other side is gone."""
    with suppress(EOFError, OSError, KeyboardInterrupt):
        pipe.send(None)  # started
        while True:
            argument = pipe.recv()
            try:
                result = function(argument)
            except Exception as error:
                result = error
            pipe.send(result)
