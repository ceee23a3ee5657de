"""The market's and the devices' own rules, looked at in a plan without any power flow."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gridclear.optimise.problem import Plan, Problem

#: p.u. of power, p.u. hours of energy and shares by which a rule may be missed: rounding of a program.
_ROUNDING = 1e-7


def check_shape(problem: Problem, plan: Plan) -> None:
    """Refuse a plan that cannot be read.

    Raises
    ------
    OptionError
        An array has another shape, values that are not finite, or steps that no device can make.
    """
    pattern = problem.nothing()
    for field in fields(pattern):
        given, due = np.asarray(getattr(plan, field.name)), getattr(pattern, field.name)
        if given.shape != due.shape or not np.isfinite(given).all():
            raise OptionError(f"the algorithm's {field.name} must be finite numbers of shape {due.shape}")
    if not np.issubdtype(plan.steps.dtype, np.integer):
        raise OptionError(f"the algorithm's steps must be whole numbers; they are {plan.steps.dtype}")
    for row, device in enumerate(problem.devices):
        if plan.steps[row].min() < device.lowest or plan.steps[row].max() > device.highest:
            raise OptionError(
                f"the algorithm's steps of device {row} must be {device.lowest} … {device.highest}"
            )


def broken_rules(problem: Problem, plan: Plan) -> tuple[str, ...]:
    """Name the rules that a plan breaks, whoever made it.

    Parameters
    ----------
    problem : Problem
    plan : Plan

    Returns
    -------
    tuple of str
        Empty if it keeps all of them.
    """
    return tuple(
        words
        for words, broken in (
            *_of_offers(problem, plan),
            *_of_devices(problem, plan),
            *_of_stores(problem, plan),
        )
        if broken.any()
    )


def _of_offers(problem: Problem, plan: Plan) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    offers, share = problem.offers, plan.share
    taken = share > _ROUNDING
    yield "a share is not 0 … 1 of what is offered", (share < 0.0) | (share > offers.most + _ROUNDING)
    yield "an offer is taken below its least amount", taken & (share < offers.least - _ROUNDING)
    rows = np.flatnonzero((offers.exclusive >= 0) & taken[offers.item])
    pairs = np.stack([offers.period[rows], offers.exclusive[rows]], axis=1)
    yield "exclusive offers are taken together", np.unique(pairs, axis=0, return_counts=True)[1] > 1
    able = problem.capability
    value = able.matrix @ np.concatenate([share, plan.charge.ravel(), plan.discharge.ravel()])
    outside = (value < able.low - _ROUNDING) | (value > able.high + _ROUNDING)
    yield "an element is asked for more than it can do", outside


def _of_devices(problem: Problem, plan: Plan) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    moves = problem.moves(plan)
    for device, made in zip(problem.devices, moves, strict=True):
        over = [made[begin:end].sum() > most for begin, end, most in device.budgets]
        yield "a device moves more often than it may", np.array(over, dtype=bool)


def _of_stores(problem: Problem, plan: Plan) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    stores = problem.stores
    for power, least, most in (
        (plan.charge, stores.least_charge, stores.most_charge),
        (plan.discharge, stores.least_discharge, stores.most_discharge),
    ):
        yield "a storage leaves its powers", (power < least - _ROUNDING) | (power > most + _ROUNDING)
    both = np.minimum(plan.charge, plan.discharge) > _ROUNDING
    yield "a storage charges and discharges at once", both
    energy = stores.energy(plan.charge, plan.discharge, problem.compiled.case.horizon.hours)
    outside = (energy < stores.low[:, None] - _ROUNDING) | (energy > stores.high[:, None] + _ROUNDING)
    yield "a storage leaves its energies", outside
    yield "a storage ends below its least energy", energy[:, -1] < stores.end - _ROUNDING
