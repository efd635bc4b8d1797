import os
from pathlib import Path

import pytest

from data.errors import DataError
from data.files.cache import cache_root


@pytest.mark.parametrize("named", [None, ""])
def test_the_cache_is_in_the_home_folder_unless_named(monkeypatch, tmp_path, named):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LOOKALIKE_CACHE", raising=False)
    if named is not None:
        monkeypatch.setenv("LOOKALIKE_CACHE", named)
    assert cache_root() == tmp_path / ".cache" / "lookalike"


def test_a_tilde_and_a_relative_path_are_made_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOOKALIKE_CACHE", "~/foo")
    assert cache_root() == tmp_path / "foo"
    monkeypatch.setenv("LOOKALIKE_CACHE", "scratch")
    assert cache_root() == Path.cwd() / "scratch"


def test_without_home_and_user_entry_the_error_names_the_variable(monkeypatch):
    def unknown(user):
        raise KeyError(user)

    pwd = pytest.importorskip("pwd")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("LOOKALIKE_CACHE", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(DataError, match="set LOOKALIKE_CACHE"):
        cache_root()
    monkeypatch.setenv("LOOKALIKE_CACHE", os.sep + "scratch")
    assert cache_root() == Path(os.sep + "scratch")
