"""What kernels take and fill: arrays grouped by how long they live. Structure is in ``network.network``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

#: Codes of a scenario's outcome.
UNSOLVED, FIXED_POINT, NEWTON, NO_SOLUTION, BAD_INPUT, UNSETTLED = 0, 1, 2, 3, 4, 5

#: Code → word, for results.
STATUS = {
    UNSOLVED: "unsolved",
    FIXED_POINT: "solved",
    NEWTON: "solved",
    NO_SOLUTION: "no-solution",
    BAD_INPUT: "bad-input",
    UNSETTLED: "unsettled",
}


class Factors(NamedTuple):
    """Values of one topology at one setting of taps and banks.

    Attributes
    ----------
    admittance : (branch, 4) complex
    shunt : (node,) complex
    lur, lui : (2·fill + free,)
        Factors of the free nodes' admittance matrix, scaled: see ``factorise.scale``.
    wr, wi, w_unit, w_angle : (node,)
        Voltages without injection, their directions (complex, of magnitude 1) and angles in degrees.
    to_current, to_voltage : (free,) complex
        The scales of currents and voltages.
    lur_single, lui_single : (2·fill + free,)
        The factors in single precision.
    start_single, from_voltage_single, turn_single : (free,) complex
        Scaled voltages without injection, what makes a scaled voltage of a voltage, and what an injection is
        multiplied by so that it divided by a scaled voltage is a scaled current.
    dc : (2·fill + free,)
        Factors of the DC power flow's matrix; no rows where there is no use for it.
    dc_angle, dc_shift : (free,)
        Its angles in rad without injection, and the injections that stand for phase shifters.
    set_voltage : (free,)
        Set points of voltage-controlled nodes.
    q_min, q_max : (free,)
        Reactive power that a voltage-controlled node may feed in, p.u.; infinite where it is not limited.
    any_pv : bool
        There are voltage-controlled nodes: Newton from the start.
    """

    admittance: np.ndarray
    shunt: np.ndarray
    lur: np.ndarray
    lui: np.ndarray
    wr: np.ndarray
    wi: np.ndarray
    w_unit: np.ndarray
    w_angle: np.ndarray
    to_current: np.ndarray
    to_voltage: np.ndarray
    lur_single: np.ndarray
    lui_single: np.ndarray
    start_single: np.ndarray
    from_voltage_single: np.ndarray
    turn_single: np.ndarray
    dc: np.ndarray
    dc_angle: np.ndarray
    dc_shift: np.ndarray
    set_voltage: np.ndarray
    q_min: np.ndarray
    q_max: np.ndarray
    any_pv: bool


class Columns(NamedTuple):
    """One part of the injections, a column per element or bus.

    Attributes
    ----------
    part : int
        0, 1: P and Q of constant power; 2, 3: of constant current; 4, 5: of constant impedance.
    values : (row, column)
    row : (scenario,)
        Row of each scenario.
    node : (column,)
        Node of each column, -1 where dead.
    factor : (column,)
        p.u. of injection per unit of value.
    """

    part: int
    values: np.ndarray
    row: np.ndarray
    node: np.ndarray
    factor: np.ndarray


class Sources(NamedTuple):
    """All columns of a pass in one: kernels have one kind of it, however many there are.

    Attributes
    ----------
    address, width, part, first : (source,) int
        Where the values of each stand, how many columns they have, which part they are, and where its columns
        begin in ``node`` and ``factor``.
    row : (source, scenario) int
    node, factor : (column of any,)
        As in ``Columns``.
    """

    address: np.ndarray
    width: np.ndarray
    part: np.ndarray
    first: np.ndarray
    row: np.ndarray
    node: np.ndarray
    factor: np.ndarray


class Changes(NamedTuple):
    """What scenarios change of their injections, in p.u.: scenario s has entries start[s] … start[s + 1]."""

    start: np.ndarray
    part: np.ndarray
    node: np.ndarray
    value: np.ndarray


class Starts(NamedTuple):
    """Starting voltages.

    Attributes
    ----------
    vr, vi : (row, node)
        With no rows, every scenario starts from the voltages without injection.
    row : (scenario,)
        Row of each scenario.
    """

    vr: np.ndarray
    vi: np.ndarray
    row: np.ndarray


class LimitArrays(NamedTuple):
    """Limits by row; see ``evaluate.worst_limit``. ``row`` and ``probe`` are per scenario; none: no scan."""

    vm_min: np.ndarray
    vm_max: np.ndarray
    loading: np.ndarray
    per_rated: np.ndarray
    point_node: np.ndarray
    point_share: np.ndarray
    exchange: np.ndarray
    exchange_scale: float
    row: np.ndarray
    probe: np.ndarray


class Output(NamedTuple):
    """What a pass fills; an array without rows is not asked for.

    Attributes
    ----------
    code : (scenario,) int
    mismatch : (scenario,)
        Proved mismatch in p.u.; NaN without solution.
    iterations : (scenario,) int
        Sweeps of the fixed point, and Newton's steps.
    vm, va : (scenario, bus), rows padded like all that follow
        Magnitude in p.u. and angle in degrees.
    node_r, node_i : (scenario, node)
        Real and imaginary parts of node voltages in p.u.
    i_from, i_to : (scenario, branch)
        kA at the two ends.
    slack_p, slack_q : (scenario, slack node)
        Power that each slack node feeds in, p.u.
    high, which, probed : (scenario,)
        Limit scan.
    """

    code: np.ndarray
    mismatch: np.ndarray
    iterations: np.ndarray
    vm: np.ndarray
    va: np.ndarray
    node_r: np.ndarray
    node_i: np.ndarray
    i_from: np.ndarray
    i_to: np.ndarray
    slack_p: np.ndarray
    slack_q: np.ndarray
    high: np.ndarray
    which: np.ndarray
    probed: np.ndarray


class Workspace(NamedTuple):
    """Room for one piece of work, used by one thread at a time; every entry is written before it is read.

    Attributes
    ----------
    injection : (part, node, LANES)
        Injections of a block in p.u.; two parts, or six where they depend on the voltage.
    columns : (column, LANES); fed : (part, node) bool
        Columns of one source, and which injections have begun to be added up.
    vr, vi, xr, xi, yr, yi, size : (node, LANES)
        Voltages, and room of the fixed point and of the evaluation.
    hr, hi, ar, ai, br, bi : (free, LANES), single precision
    magnitude, va : (node + 1, LANES); current : (2·branch, LANES)
        Magnitudes and angles of voltages in p.u. and degrees; magnitudes of currents in p.u.
    far_r, far_i : (branch, LANES)
        Currents into each branch at the end that comes later in the order of elimination.
    held : (free, LANES)
        1 where a lane holds the node's voltage magnitude, else 0.
    lane : (4, LANES); lane_single : (2, LANES), single precision; row : (LANES,) int
        Notes of the fixed point on each lane, and a row of an array for each.
    low, high : (node, LANES); loading : (branch, LANES); exchange : (5·point, LANES)
        Limits of a block.
    jacobian : (2·fill + free, 4, GROUP); line : (node, 4, GROUP); step : (free, 2, GROUP)
    spare_q : (free, GROUP); angle : (free,)
        Newton's room.
    bus_row : (bus,), from_row, to_row : (branch,), node_row : (node,), slack_row : (slack node,)
        Row of a block that holds each column of the output, padding included; dead buses have the row behind
        the nodes.
    from_ka, to_ka : (branch,), ones : (column,)
        What is written per unit of a column, padding included.
    """

    injection: np.ndarray
    columns: np.ndarray
    fed: np.ndarray
    vr: np.ndarray
    vi: np.ndarray
    xr: np.ndarray
    xi: np.ndarray
    yr: np.ndarray
    yi: np.ndarray
    size: np.ndarray
    hr: np.ndarray
    hi: np.ndarray
    ar: np.ndarray
    ai: np.ndarray
    br: np.ndarray
    bi: np.ndarray
    magnitude: np.ndarray
    va: np.ndarray
    current: np.ndarray
    far_r: np.ndarray
    far_i: np.ndarray
    held: np.ndarray
    lane: np.ndarray
    lane_single: np.ndarray
    row: np.ndarray
    low: np.ndarray
    high: np.ndarray
    loading: np.ndarray
    exchange: np.ndarray
    jacobian: np.ndarray
    line: np.ndarray
    step: np.ndarray
    spare_q: np.ndarray
    angle: np.ndarray
    bus_row: np.ndarray
    from_row: np.ndarray
    to_row: np.ndarray
    node_row: np.ndarray
    slack_row: np.ndarray
    from_ka: np.ndarray
    to_ka: np.ndarray
    ones: np.ndarray


class Measures(NamedTuple):
    """What turns voltages into quantities: columns of ``NodeLimits``.

    Attributes
    ----------
    per_rated : (branch, 2)
    point_node, point_share : (point,)
    """

    per_rated: np.ndarray
    point_node: np.ndarray
    point_share: np.ndarray


class Moves(NamedTuple):
    """Controls at one setting: what one unit of each changes, at a node or in branches.

    Attributes
    ----------
    node : (control,) int
        Slack or free node; -1 where there is none.
    power : (control,) complex
        Change of its constant power.
    shunt : (control,) complex
        Change of its admittance to ground.
    start : (control + 1,), branch : (entry,), slope : (entry, 4) complex
        Branches start[c] … start[c + 1] are changed by control c, and by how much.
    """

    node: np.ndarray
    power: np.ndarray
    shunt: np.ndarray
    start: np.ndarray
    branch: np.ndarray
    slope: np.ndarray


class SensitivityRoom(NamedTuple):
    """Room of sensitivities for one thread, GROUP states side by side.

    Attributes
    ----------
    x : (node, 2, GROUP)
        (Δθ, ΔV/V) by a control, or multipliers of P and Q of a quantity.
    slack : (slack node, 2, GROUP)
        P and Q that slack nodes feed in, their change, or their weights in a quantity.
    unit : (point, 2, GROUP)
        P/|S| and Q/|S| of each connection point.
    ampere : (branch, 4, GROUP)
        Loading by real and imaginary part of the current at the from end, then at the to end.
    gradient : (branch, 4, GROUP)
        Loading by θ and ln V of the from node, then of the to node.
    push : (control, 2, GROUP)
        P and Q that a control seems to inject at its node.
    turn : (entry, 5, GROUP)
        P and Q that a control seems to inject at the from node, then at the to node, of a branch that it
        changes; and the change of the branch's loading at fixed voltages.
    base : (quantity, GROUP)
    line : (quantity or control, GROUP)
        Results of one control or one quantity.
    place : (quantity or control,) int; ones : (quantity or control,)
        Their rows in ``line``, and what is written per unit.
    """

    x: np.ndarray
    slack: np.ndarray
    unit: np.ndarray
    ampere: np.ndarray
    gradient: np.ndarray
    push: np.ndarray
    turn: np.ndarray
    base: np.ndarray
    line: np.ndarray
    place: np.ndarray
    ones: np.ndarray
