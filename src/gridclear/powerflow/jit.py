"""How kernels are compiled: one decorator, and a cache folder that is right for these sources.

numba's cache does not notice when a kernel calls one in another file that has changed, and writes beside the
sources, where an installation may be read-only. So the folder is named after a hash of all kernel sources and
of the versions that compile them, and lies in the user's cache.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable  # noqa: TC003  read by numba at run time
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import config

from gridclear.io.cache import user_cache

#: Files that kernels are made of.
_SOURCES = (
    "jit.py",
    "simd.py",
    "tiles.py",
    "gather.py",
    "arrays.py",
    "factorise.py",
    "fixed_point.py",
    "jacobian.py",
    "newton.py",
    "evaluate.py",
    "batch.py",
)


def _sources_hash() -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    for version in (numba.__version__, llvmlite.__version__, platform.python_version(), platform.machine()):
        digest.update(version.encode())
    return digest.hexdigest()[:16]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` without the interpreter's lock; cached on disk.

    Floating-point contraction (a·b + c in one rounding) is allowed, reordering is not: NaN and infinity keep
    their meaning, and every lane goes through the same instructions, so that its bits do not depend on its
    neighbours.
    """
    return _compile(function, called_from_python=True)


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like ``kernel``, for what only kernels call: without the wrappers, which would cost compile time."""
    return _compile(function, called_from_python=False)


def _compile(function: Callable[..., Any], *, called_from_python: bool) -> Callable[..., Any]:
    before = config.CACHE_DIR
    config.CACHE_DIR = str(user_cache() / "kernels" / _sources_hash())
    try:
        compiled = numba.njit(
            cache=True,
            nogil=True,
            fastmath={"contract"},
            error_model="numpy",
            no_cpython_wrapper=not called_from_python,
            no_cfunc_wrapper=True,
        )(function)
    finally:
        config.CACHE_DIR = before
    return compiled  # type: ignore[no-any-return]
