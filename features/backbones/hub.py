"""One file from the Hugging Face Hub: from its cache when it is there, else downloaded; no network is known at once."""

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError


@contextmanager
def quiet() -> Iterator[None]:
    """Libraries remark on what we turn into an error, or asked for."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def hub_file(repository: str, names: Sequence[str]) -> Path:
    """The first of `names` that `repository` has, as a local path.

    Raises:
        OSError, or one of huggingface_hub.errors (most are OSErrors): it cannot be had.
    """
    for name in names:
        cached = try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    if not getproxies():
        # huggingface_hub asks an absent network six times for each file, a minute in all.
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    with quiet():
        for name in names[:-1]:
            try:
                return Path(hf_hub_download(repository, name))
            except EntryNotFoundError:
                continue
        return Path(hf_hub_download(repository, names[-1]))
