"""Freed memory stays with the process, for networks on a CPU: each batch frees and asks for the same tensors again."""

import ctypes
import platform

# Of mallopt in glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
LARGEST = 32 * 2**20  # bytes: glibc takes larger blocks from the system each time, whatever is set
STEP = 256 * 2**20  # bytes that are asked of the system at once; pages are only taken when they are written to


def keep_freed_memory() -> None:
    """Call before the first forward pass. Peak memory stays as it is; without glibc (macOS, musl) nothing changes.

    glibc returns large blocks to the system when they are freed. Of EfficientNet-Lite0 each batch of 16 then causes
    28,000 page faults: a quarter of the time of a forward pass on one thread, a tenth of ResNet18's and of a training
    step's.
    """
    if libc := _glibc():
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_TOP_PAD, STEP)
        libc.mallopt(M_ARENA_MAX, 1)  # the arenas of threads hold 64 MB at most and are returned whole


def return_freed_memory() -> None:
    """Call before worker processes fork: of pages that are still there, each is copied when it is next written to."""
    if libc := _glibc():
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
