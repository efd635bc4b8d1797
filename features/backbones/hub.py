"""One file of the Hugging Face Hub, from its cache or downloaded; without internet access it fails at once."""

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
    """Without the warnings of libraries: what they warn of is an error here, or intended."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def hub_file(repository: str, names: Sequence[str]) -> Path:
    """The first of `names` that `repository` has, as a local path.

    Raises:
        OSError, or one of huggingface_hub.errors (most are OSErrors): it is neither cached nor downloadable.
    """
    for name in names:
        cached = try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    if not getproxies():
        # Without a network huggingface_hub tries each file six times, for a minute in all.
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    with quiet():
        for name in names[:-1]:
            try:
                return Path(hf_hub_download(repository, name))
            except EntryNotFoundError:
                continue
        return Path(hf_hub_download(repository, names[-1]))
