"""Cores to work on, on systems that tell which a process may use and on those that do not."""

import os

import pytest

from data.cores import cores


def test_where_the_system_tells_only_what_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    assert cores() == 3


@pytest.mark.parametrize(("told", "expected"), [(6, 6), (None, 1)])
def test_where_it_does_not_those_of_the_machine(monkeypatch, told, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: told)
    assert cores() == expected
