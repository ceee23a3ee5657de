"""How kernels are compiled: one decorator, and a cache of compiled kernels that can only save time.

numba's own cache does not notice when a kernel calls one in another file that has changed, writes beside the
sources, where an installation may be read-only, raises where a file is cut short, and mixes up signatures
when two processes add to one index. So compiled kernels lie in the user's cache, in a folder named after a
hash of all kernel sources and of what compiles them, and each in a file of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import platform
from collections.abc import Callable  # noqa: TC003  read by numba at run time
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import config
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from gridclear.io.cache import keep_newest, read_sealed, user_cache, write_sealed

#: Files that kernels are made of.
_SOURCES = (
    "jit.py",
    "simd.py",
    "tiles.py",
    "gather.py",
    "polar.py",
    "arrays.py",
    "factorise.py",
    "fixed_point.py",
    "jacobian.py",
    "newton.py",
    "evaluate.py",
    "batch.py",
    "brackets.py",
    "climb.py",
    "filling.py",
    "gradients.py",
    "sensitivity_kernels.py",
    "rows.py",
    "simplex.py",
    "branching.py",
    "completing.py",
    "hermitian.py",
)
#: So many generations of kernels are kept; the longest unused go first.
_KEPT = 8


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` without the interpreter's lock; cached on disk.

    Floating-point contraction (a·b + c in one rounding) is allowed, reordering is not: NaN and infinity keep
    their meaning, and every lane goes through the same instructions, so that its bits do not depend on its
    neighbours.
    """
    return _compile(function, called_from_python=True, counts=True)


def allocating(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like ``inner``, for what makes or returns arrays, or calls what does: references are counted there."""
    return _compile(function, called_from_python=False, counts=True)


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like ``kernel``, for what only kernels call: without the wrappers, which would cost compile time.

    The caller holds all arrays, so that references to them are not counted: counting those of a hundred
    arrays in every call, by atomic steps, takes a tenth of the time of a small block. What is compiled like
    this can neither make an array nor return one, nor call what does.
    """
    return _compile(function, called_from_python=False, counts=False)


def _compile(function: Callable[..., Any], *, called_from_python: bool, counts: bool) -> Callable[..., Any]:
    compiled = numba.njit(
        nogil=True,
        fastmath={"contract"},
        error_model="numpy",
        no_cpython_wrapper=not called_from_python,
        no_cfunc_wrapper=True,
        _nrt=counts,
    )(function)
    folder = _folder()
    if folder is not None and not config.DISABLE_JIT:
        # What ``cache=True`` does, with another cache.
        compiled._cache = _KernelCache(function, folder)  # noqa: SLF001
    return compiled  # type: ignore[no-any-return]


class _KernelCache(_Cache):  # type: ignore[misc]  # numba has no types
    """Compiled code of one function: a sealed file for each signature and processor.

    A file that is absent, cut short or spoilt is compiled again and written anew; a folder that refuses the
    file leaves the kernel uncached. A file is written whole or not at all, and nothing is shared between
    files, so processes may write at the same time.
    """

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self._function = function
        self._folder = folder

    @property
    def cache_path(self) -> str:
        """Folder of the compiled kernels."""
        return str(self._folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:  # noqa: ANN401
        """Give numba's compile result for a signature, None if there is none to trust."""
        target_context.refresh()
        data = read_sealed(self._path(sig, target_context.codegen()))
        if data is None:
            return None
        # Right to the last bit, and written by these very sources and versions: it can be read.
        stored, parts = pickle.loads(data)  # noqa: S301  from a folder of the user's own
        return CompileResult._rebuild(target_context, *parts) if stored == sig else None  # noqa: SLF001

    def save_overload(self, sig: Any, data: Any) -> None:  # noqa: ANN401
        """Keep numba's compile result for a signature."""
        if data.lifted or data.library.has_dynamic_globals:
            return  # code that holds addresses of this process
        write_sealed(self._path(sig, data.codegen), dumps((sig, data._reduce())))  # noqa: SLF001

    def _path(self, sig: Any, codegen: Any) -> Path:  # noqa: ANN401
        # The magic tuple is target, processor and its features: one home may serve different machines.
        name = f"{self._function.__module__}.{self._function.__qualname__}"
        key = hashlib.sha256(f"{name} {sig} {codegen.magic_tuple()}".encode()).hexdigest()
        return self._folder / f"{self._function.__name__}-{key[:32]}.bin"

    def enable(self) -> None:
        """Do nothing: it is always on."""

    def disable(self) -> None:
        """Do nothing: it is always on."""

    def flush(self) -> None:
        """Do nothing: a new generation has a new folder."""


@cache
def _folder() -> Path | None:
    """Folder of this generation of kernels; None where nothing can be kept."""
    base = user_cache()
    if base is None:
        return None
    folder = base / "kernels" / _generation()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
    keep_newest(folder.parent, "*", _KEPT)
    return folder


def _generation() -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    versions = (numba.__version__, llvmlite.__version__, np.__version__, platform.python_version())
    settings = [getattr(config, name, None) for name in ("OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT")]
    digest.update(repr((versions, platform.machine(), settings)).encode())
    return digest.hexdigest()[:16]
