"""Pickles of dicts, lists, text, numbers and arrays of bytes, read without running or allocating what they ask for.

Arrays are never built by the pickle: stand-ins keep what numpy wrote, and only bytes that are there become pixels.
"""

import io
import pickle
import pickletools
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_INDEX = 10_000_000  # of an object that a pickle keeps: the unpickler makes a table as long
_ONE_BYTE = ("u1", "|u1", "uint8")
_INTEGERS = {f"{kind}{size}": (size, kind == "i") for kind in "iu" for size in (1, 2, 4, 8)}


def load_pickle(content: bytes) -> dict[str, Any]:
    """A pickled dict with its keys as text (Python 2 wrote them as bytes); arrays are (..., ) uint8.

    Raises:
        Exception: nearly every type there is, where `content` is damaged or asks for anything else.
    """
    for operation, argument, _ in pickletools.genops(content):
        if "PUT" in operation.name and int(argument or 0) > _MAX_INDEX:
            raise pickle.UnpicklingError(f"its pickle holds {operation.name} {argument}")
    loaded = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    if not isinstance(loaded, dict):
        raise pickle.UnpicklingError(f"its pickle holds no dict: {type(loaded).__name__}")
    return {text(key): value.pixels() if isinstance(value, _Array) else value for key, value in loaded.items()}


def text(value: Any) -> str:
    """A name, which Python 2 wrote as bytes.

    Raises:
        TypeError: neither text nor bytes.
    """
    value = value.decode() if isinstance(value, bytes) else value
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in place of a name")
    return value


class _Dtype:
    """Stands in for numpy.dtype."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name.decode("latin1") if isinstance(name, bytes) else str(name)
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        self.order = text(state[1])


class _Array:
    """Stands in for numpy.ndarray."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.data: bytes | bytearray = b""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self._set(shape, dtype, fortran, data)

    def _set(self, shape: Any, dtype: Any, fortran: Any, data: Any) -> None:
        if not isinstance(dtype, _Dtype) or dtype.name not in _ONE_BYTE or fortran:
            raise pickle.UnpicklingError("its pickle holds an array of something else than bytes, row after row")
        if not isinstance(data, bytes | bytearray) or not all(isinstance(side, int) and side >= 0 for side in shape):
            raise pickle.UnpicklingError("its pickle holds an array without its bytes")
        self.shape, self.data = tuple(shape), data

    def pixels(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.data, np.uint8).reshape(self.shape)


def _reconstruct(kind: Any, *_: Any) -> _Array:
    if kind is not _ARRAY_CLASS:
        raise pickle.UnpicklingError("its pickle asks for another class of arrays")
    return _Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array._set(shape, dtype, order == "F", data)
    return array


def _scalar(dtype: Any, data: Any = b"") -> int:
    size, signed = _INTEGERS[dtype.name.lstrip("<>|=")]
    raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
    if len(raw) != size:
        raise pickle.UnpicklingError(f"its pickle holds a number of {len(raw)} bytes")
    return int.from_bytes(raw, "big" if dtype.order == ">" else "little", signed=signed)


def _latin1(value: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into an old pickle."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"its pickle asks for the encoding {encoding}")
    return value.encode("latin1")


_ARRAY_CLASS = ("numpy", "ndarray")  # only ever handed to _reconstruct: it cannot be called
_ALLOWED: dict[tuple[str, str], Any] = {
    (f"numpy.{core}.{module}", name): value
    for core in ("core", "_core")
    for module, name, value in (
        ("multiarray", "_reconstruct", _reconstruct),
        ("multiarray", "scalar", _scalar),
        ("numeric", "_frombuffer", _frombuffer),
    )
} | {("numpy", "ndarray"): _ARRAY_CLASS, ("numpy", "dtype"): _Dtype, ("_codecs", "encode"): _latin1}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}, which is no array")
        return _ALLOWED[module, name]
