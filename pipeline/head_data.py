"""The data that a head was trained on: read beside it, and compared with the hashes that the head holds."""

from pathlib import Path

from data.tables.protocol import Protocol, check_rows, read_protocol
from data.tables.rows import Rows, read_rows
from heads.errors import HeadError
from heads.store import TrainedHead


def read_head_data(trained: TrainedHead, folder: Path) -> tuple[Rows, Protocol]:
    """rows.parquet and protocol.json in `folder`, artifacts/<dataset>.

    Raises:
        DataError: one of them is missing or damaged, or the protocol is of other rows.
        HeadError: they are not those that `trained` was trained on.
    """
    rows, protocol = read_rows(folder / "rows.parquet"), read_protocol(folder / "protocol.json")
    again = f"with data.name {folder.name}, run `dvc repro train`"
    if trained.images_hash != rows.images_hash:
        raise HeadError(f"{folder}: the head was trained on other images than rows.parquet holds; {again}")
    if trained.protocol_sha256 != protocol.sha256:
        raise HeadError(f"{folder}: the head was trained under another protocol.json; {again}")
    check_rows(protocol, rows.hash)
    return rows, protocol
