"""The dtype of the forward pass, and how closely features made in it agree from one machine to the next.

All code that runs a backbone uses these dtypes, and all checks of features these tolerances.
"""

from collections.abc import Mapping
from typing import Any

import torch

from features.errors import FeatureError

# `features.dtype: auto`, by kind of device. On CUDA float16 under autocast: more bits than bfloat16, and what overflows
# is caught as NaN. On CPUs float32, also where they have units for bfloat16: the same features on every machine.
AUTO = {"cuda": torch.float16, "cpu": torch.float32}

# The least cosine between the features of one image made in this dtype on two machines, or in it and in float32.
# Measured (EfficientNet-Lite0, its grid and its stages, ResNet-18; 96 emoji; with AVX2, AVX-512 and AMX kernels):
#   float32    0.9999995: order of additions, and one grey level in the resize of processors without AVX2
#   float16    0.99997 to float32: 10 bits of mantissa, as TF32 on GPUs
#   bfloat16   0.9940 to float32, 0.99997 between two CPUs: 7 bits of mantissa; two libraries that round after other
#              operations (batch norms fused or not) are 0.986 apart
# The limits leave a margin for deeper networks; features of other weights or images have far lower cosines.
LEAST_COSINE = {"float32": 0.9999, "float16": 0.999, "bfloat16": 0.98}


def forward_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype that `features.dtype` means on `device`."""
    return AUTO[device.type] if name == "auto" else getattr(torch, name)


def use_full_float32() -> None:
    """float32 on a GPU with all 24 bits of its mantissa, for the whole process: torch lets convolutions use TF32, which
    keeps 11, and some containers let matrix products too.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def dtype_name(dtype: torch.dtype) -> str:
    """`float32` for torch.float32."""
    return str(dtype).removeprefix("torch.")


def provenance_dtype(provenance: Mapping[str, Any]) -> str:
    """The name of the dtype that a sidecar records.

    Raises:
        FeatureError: it records none that is known.
    """
    name = provenance.get("dtype", "float32")
    if name not in LEAST_COSINE:
        raise FeatureError(f"a sidecar names the dtype '{name}', known are {', '.join(LEAST_COSINE)}; run `dvc repro`")
    return name


def matching_dtype(provenance: Mapping[str, Any], device: torch.device) -> torch.dtype:
    """The dtype that gives an image the features it has in the set that the sidecar's `provenance` describes.

    On the kind of device that computed them it is their dtype. On another kind it is float32: float16 under a GPU's
    autocast and float16 on a CPU are different arithmetic, and float32 is nearest to both.

    Raises:
        FeatureError: the sidecar records no known dtype.
    """
    name = provenance_dtype(provenance)
    return getattr(torch, name) if provenance.get("device", device.type) == device.type else torch.float32
