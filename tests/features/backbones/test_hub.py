import socket

import pytest

from features.backbones import hub


def test_no_network_is_known_at_once_without_a_retry(monkeypatch):
    def no_name(*_):
        raise socket.gaierror(-2, "Name or service not known")

    def never(*_):
        raise AssertionError("asked the network")

    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(hub, "getproxies", dict)
    monkeypatch.setattr(hub.socket, "getaddrinfo", no_name)
    monkeypatch.setattr(hub, "hf_hub_download", never)
    with pytest.raises(OSError, match="Name or service not known"):
        hub.hub_file("someone/something", ["a.safetensors", "b.bin"])


def test_what_is_in_the_cache_needs_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda _, name: str(tmp_path) if name == "b.bin" else None)
    assert hub.hub_file("someone/something", ["a.safetensors", "b.bin"]) == tmp_path


def test_the_second_name_is_asked_when_the_first_is_not_there(monkeypatch, tmp_path):
    def download(_, name):
        if name == "a.safetensors":
            raise hub.EntryNotFoundError("404")
        return str(tmp_path / name)

    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(hub, "getproxies", lambda: {"https": "proxy"})
    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert hub.hub_file("someone/something", ["a.safetensors", "b.bin"]) == tmp_path / "b.bin"
