import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import resource, sys
import torch
from torchvision.models import resnet18
from features.freed_memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
torch.set_num_threads(1)
network, images = resnet18().eval(), torch.zeros(8, 3, 160, 160)

def page_faults(batches):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with torch.inference_mode():
        for _ in range(batches):
            network(images)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

page_faults(6)
print(page_faults(4))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_memory_that_a_batch_freed_is_used_again_without_page_faults():
    def page_faults(how: str) -> int:
        command = [sys.executable, "-c", SCRIPT, how]
        return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)

    # Memory that went back to the system: thousands of pages of 4 KB, or dozens of 2 MB where there are such.
    assert page_faults("kept") < 10 < page_faults("returned")
