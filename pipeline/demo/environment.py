"""The environment of the page: nothing is sent to anyone, and no proxy stands between it and its own server."""

import os
from importlib.util import find_spec
from urllib.request import getproxies_environment

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def prepare_environment() -> None:
    """To be called before Gradio is imported, which reads some of it then.

    Both spellings of NO_PROXY name this machine, for libraries read one or the other. A SOCKS proxy is left out where
    httpx cannot use it: it would fail before it looks at NO_PROXY.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    known = [os.environ.get(name, "") for name in ("NO_PROXY", "no_proxy")]
    hosts = dict.fromkeys(host.strip() for text in (*known, *LOOPBACK) for host in text.split(",") if host.strip())
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(hosts)
    if find_spec("socksio") is None:
        for kind, address in getproxies_environment().items():
            if address.lower().startswith("socks"):
                for name in (f"{kind}_proxy", f"{kind}_proxy".upper()):
                    os.environ.pop(name, None)
