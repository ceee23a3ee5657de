"""Limits that stand in where the grid states none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gridclear.errors import Issue


@dataclass(frozen=True)
class Limits:
    """Limits used for an element for which the grid gives no limit of its own.

    Attributes
    ----------
    vm_min_pu, vm_max_pu : float
        Band of the voltage magnitude at every bus without ``min_vm_pu`` / ``max_vm_pu``, in p.u.
    loading_percent : float
        Highest loading of every line and transformer without ``max_loading_percent``, in per cent.
    """

    vm_min_pu: float = 0.95
    vm_max_pu: float = 1.05
    loading_percent: float = 100.0


def check_limits(limits: Limits, file: str) -> list[Issue]:
    """List what is wrong with the limits of a case.

    Parameters
    ----------
    limits : Limits
    file : str
        Where they were given: ``case.toml`` or the name of the argument.

    Returns
    -------
    list of Issue
    """
    issues = []
    for name in ("vm_min_pu", "vm_max_pu", "loading_percent"):
        value = getattr(limits, name)
        if not (isinstance(value, int | float) and math.isfinite(value) and value > 0.0):
            issues.append(Issue(file, "", name, f"{value!r} is not a limit", "a finite number > 0"))
    if not issues and limits.vm_min_pu >= limits.vm_max_pu:
        what = f"vm_min_pu = {limits.vm_min_pu!r} is not below vm_max_pu = {limits.vm_max_pu!r}"
        issues.append(Issue(file, "", "vm_min_pu", what, "vm_min_pu < vm_max_pu"))
    return issues
