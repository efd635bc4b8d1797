import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import resource
import torch
from features.freed_memory import keep_freed_memory

torch.set_num_threads(1)
layers = [torch.nn.Conv2d(8, 64, 3), *(torch.nn.Conv2d(64, 64, 3) for _ in range(4))]
network, images = torch.nn.Sequential(*layers).eval(), torch.zeros(8, 8, 96, 96)

def page_faults(batches):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with torch.inference_mode():
        for _ in range(batches):
            network(images)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

page_faults(6)
print(page_faults(4))
keep_freed_memory()
page_faults(16)
print(page_faults(4))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_memory_that_a_batch_freed_is_used_again_without_page_faults():
    """Memory that went back to the system: thousands of pages of 4 KB, or dozens of 2 MB where there are such."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    returned, kept = map(int, done.stdout.split())
    assert kept < 10 < returned
