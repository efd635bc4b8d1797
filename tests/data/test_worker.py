"""A worker's results, exceptions, time limit and death."""

import multiprocessing
import time
from multiprocessing.connection import Connection

import pytest

from data.worker import Worker, WorkerDied


@pytest.fixture
def worker():
    worker = Worker(bytes)  # a number of zeros
    yield worker
    worker.close()


def test_results_and_exceptions_come_back(worker):
    for _ in range(2):
        worker.send(10**6)
        assert len(worker.receive()) == 10**6
        worker.send(-1)
        with pytest.raises(ValueError, match="negative"):
            worker.receive()


def test_a_time_limit_counts_from_the_start_of_the_process():
    worker = Worker(time.sleep)
    worker.send(0)
    assert worker.receive(seconds=30) is None
    worker.send(60)
    with pytest.raises(TimeoutError):
        worker.receive(seconds=0.1)
    worker.close()


def kill() -> None:
    for child in multiprocessing.active_children():
        child.kill()
        child.join()


def test_a_death_before_sending(worker):
    worker.send(0)
    worker.receive()
    kill()
    with pytest.raises(WorkerDied):
        worker.send(0)
        worker.receive()


@pytest.mark.timeout(60)
def test_a_death_in_the_middle_of_a_result(worker, monkeypatch):
    """Of a large result only what fits into the pipe is on its way: whoever waits for the rest waits for ever."""
    worker.send(0)
    worker.receive()
    whole = Connection._recv

    def recv(self, size, *more):
        if size > 10**5:
            kill()
        return whole(self, size, *more)

    monkeypatch.setattr(Connection, "_recv", recv)
    worker.send(10**6)
    with pytest.raises(WorkerDied):
        worker.receive()
