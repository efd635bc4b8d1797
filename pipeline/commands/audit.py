"""`audit`: what was prepared, what was rejected, and where the same picture or group is in two splits."""

from pathlib import Path

from data.files.atomic import write_bytes
from data.preparation.audit import audit
from data.tables.protocol import read_protocol
from data.tables.rows import read_dhashes, read_rows
from pipeline.params import Params
from pipeline.paths import dataset_folder
from pipeline.report.audit_lines import audit_lines, draw_pairs, near_pairs


def run(params: Params, picture: Path | None) -> None:
    """Print the audit; with `picture`, draw the nearest pairs side by side."""
    folder = dataset_folder(params)
    protocol, rows = read_protocol(folder / "protocol.json"), read_rows(folder / "rows.parquet")
    found = audit(rows, protocol, read_dhashes(folder / "rows.parquet"))
    print("\n".join(audit_lines(found, protocol, rows)))
    if picture is not None:
        pairs = near_pairs(found)
        write_bytes(picture, draw_pairs(pairs, folder / "rows.parquet"))
        print(f"{len(pairs)} pairs drawn to {picture}")
