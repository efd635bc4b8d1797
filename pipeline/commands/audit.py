"""`audit`: what was prepared, what was rejected, and where the same image or group is in two splits."""

from pathlib import Path

from data.files.atomic import write_bytes
from data.preparation.audit import audit
from data.tables.protocol import check_rows, read_protocol
from data.tables.rows import read_dhashes, read_rows, read_thumbs
from pipeline.display_names import display_name
from pipeline.inference.result_sheet import SheetItem, SheetRow, draw_html
from pipeline.params import Params
from pipeline.paths import dataset_folder
from pipeline.report.audit_lines import audit_lines
from pipeline.report.near_duplicates import CHECKED, confirm, near_pairs


def run(params: Params, html: Path | None) -> None:
    """Print the audit; with `html`, write a page of the nearly identical pairs."""
    folder = dataset_folder(params)
    path = folder / "rows.parquet"
    protocol, rows = read_protocol(folder / "protocol.json"), read_rows(path)
    check_rows(protocol, rows.hash)
    found = confirm(audit(rows, protocol, read_dhashes(path), max_pairs=CHECKED), path)
    print("\n".join(audit_lines(found, protocol, rows)))
    if html is not None:
        pairs = near_pairs(found)
        items = [
            SheetItem(display_name(rows.id[row], protocol.dataset), thumb, words=(rows.id[row], rows.split[row]))
            for row, thumb in zip(pairs.ravel(), read_thumbs(path, pairs.ravel()), strict=True)
        ]
        sheet = [SheetRow(query, [other]) for query, other in zip(items[::2], items[1::2], strict=True)]
        title = f"Nearly identical images of {protocol.dataset} in two splits"
        write_bytes(html, draw_html(sheet, title=title, notes=[f"pictures: {protocol.licence}"]))
        print(f"{len(pairs)} pairs in {html}")
