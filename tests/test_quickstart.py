"""docs/quickstart.ipynb: its cells run in order, and its head beats the baseline."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"
CHECK = """
import json
row = scores["map_at_r"]
print(json.dumps({"head": row.head, "half_width": row.half_width, "baseline": row.baseline}))
"""


def test_the_cells_run_in_order_and_the_head_beats_its_baseline() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*code, CHECK])],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout.splitlines()[-1])
    assert row["head"] - row["half_width"] > row["baseline"]
