"""Behind a proxy the page starts: its own server is asked directly."""

import os

import pytest

from pipeline.demo.environment import prepare_environment

httpx = pytest.importorskip("httpx")


@pytest.fixture
def proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def goes_through_a_proxy(address: str) -> bool:
    with httpx.Client() as client:
        return client._transport_for_url(httpx.URL(address)) is not client._transport


@pytest.mark.parametrize("spelling", ["no_proxy", "NO_PROXY"])
def test_both_spellings_name_this_machine_and_keep_what_they_had(proxies, spelling):
    proxies.setenv(spelling, "intern.example, 10.0.0.1")
    proxies.setenv("HTTP_PROXY", "http://proxy.example:3128")
    prepare_environment()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "intern.example,10.0.0.1,127.0.0.1,localhost,::1"
    assert not goes_through_a_proxy("http://127.0.0.1:7860/") and goes_through_a_proxy("http://example.com/")


@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "https_proxy"])
def test_a_socks_proxy_that_httpx_cannot_use_is_left_out(proxies, name):
    proxies.setattr("pipeline.demo.environment.find_spec", lambda package: None)
    proxies.setenv(name, "socks5://proxy.example:1080")
    prepare_environment()
    assert name not in os.environ
    httpx.Client().close()
