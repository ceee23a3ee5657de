"""Rolling sessions: each starts from what the one before has decided; runpp says what is delivered."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from lights_support import BID_COLUMNS, START, STEP, bid, outage, shipped_case, tiny_case, tiny_net

import gridclear as gc
from gridclear.case.case import build_case
from gridclear.case.cells import Faults
from gridclear.case.schema import TABLES
from gridclear.case.sheets import checked_sheet
from gridclear.case.window import window
from gridclear.errors import SolverError
from gridclear.jobs import session as module
from gridclear.jobs.binding import binding_case
from gridclear.jobs.carried import Carried, carry_on

LOOSE = gc.Limits(0.9, 1.1, 1000.0)
SIGN = {"load": -1.0, "storage": -1.0, "sgen": 1.0, "gen": 1.0}


@pytest.fixture(scope="module")
def rolled(grids):
    """Four sessions of six periods, the case of each, and the whole."""
    case, seen = shipped_case(grids / "mv-rural"), []
    rolling = gc.roll(
        case, sessions=4, periods=6, threads=1, map_periods=0, each=lambda *pair: seen.append(pair[:2])
    )
    return case, seen, rolling


def stated(case, table, element, start):
    """Power of an element in a period, by its forecast or the grid."""
    rows = case.forecast
    mine = rows[(rows["element_type"] == table) & (rows["element"] == element) & (rows["start"] == start)]
    frame = case.grid.tables[table]
    own = frame.loc[case.grid.lookup(table)[element]]
    if mine.empty:
        return own["p_mw"], own["q_mvar"]
    row = mine.iloc[0]
    return row["p_mw"], own["q_mvar"] if math.isnan(row["q_mvar"]) else row["q_mvar"]


def test_sessions_begin_one_period_apart_and_every_one_is_a_sound_case(rolled):
    case, seen, rolling = rolled
    assert rolling.status == "complete"
    assert [own.horizon.start for own, _ in seen] == case.horizon.starts[:4].tolist()
    assert rolling.sessions["periods"].tolist() == [6] * 4
    for own, _ in seen:
        sheets = {name: checked_sheet(table, own.table(name)) for name, table in TABLES.items()}
        issues = []
        try:
            build_case(
                "again",
                own.grid,
                "grid",
                own.horizon,
                own.limits,
                own.prices,
                own.settlement,
                sheets,
                Faults(),
            )
        except gc.CaseError as fault:
            issues = fault.issues
        # Several reactive bids share one inverter, and the clearing keeps its capability by itself.
        assert {(issue.file, issue.column) for issue in issues} <= {("reactive_bids", "q_mvar")}


class Ledger:
    """All that sessions have taken, row by row."""

    def __init__(self):
        self.change, self.supplied, self.had = defaultdict(list), defaultdict(float), defaultdict(float)

    def add(self, own, session):
        accepted = session.parts["activate"].accepted
        for row, offer in zip(accepted.itertuples(), own.active_bids.itertuples(), strict=True):
            way = 1.0 if row.direction == "up" else -1.0
            self.supplied[row.start, row.direction] += row.supplied_mw
            self.had[row.bid, row.start, row.direction] += row.accepted_mw
            if offer.element:
                tan_phi = 0.0 if math.isnan(offer.tan_phi) else offer.tan_phi
                power = way * row.accepted_mw
                self.change[offer.element_type, offer.element, row.start].append((power, power * tan_phi))
        for row in session.parts["clear"].schedule.itertuples():
            if row.bid:
                self.change[row.element_type, row.element, row.start].append((row.p_mw, row.q_mvar))
                self.had[row.bid, row.start, "inject" if row.q_mvar > 0 else "absorb"] += abs(row.q_mvar)


def test_what_is_taken_stands_in_the_next_forecast(rolled):
    case, seen, _ = rolled
    ledger = Ledger()
    for (own, session), (after, _) in pairwise(seen):
        ledger.add(own, session)
        starts = set(after.horizon.starts)
        for (table, element, start), moves in ledger.change.items():
            if start not in starts:
                continue
            scaling = case.grid.tables[table].loc[case.grid.lookup(table)[element], "scaling"]
            before, now = stated(case, table, element, start), stated(after, table, element, start)
            for part in (0, 1):
                moved = SIGN[table] * (now[part] - before[part]) * scaling
                assert moved == pytest.approx(sum(one[part] for one in moves), abs=1e-9)
    assert len(ledger.change) > 10


def test_what_is_taken_is_no_longer_offered_or_needed(rolled):
    case, seen, rolling = rolled
    ledger = Ledger()
    for (own, session), (after, _) in pairwise(seen):
        ledger.add(own, session)
        starts, asked = set(after.horizon.starts), case.active_need.set_index(["start", "direction"])["p_mw"]
        for row in after.active_need.itertuples():
            left = max(0.0, asked[row.start, row.direction] - ledger.supplied[row.start, row.direction])
            assert row.p_mw == pytest.approx(left, abs=1e-9)
        for table, amount in (("active_bids", "p_mw"), ("reactive_bids", "q_mvar")):
            now = {(r.bid, r.start, r.direction): getattr(r, amount) for r in after.table(table).itertuples()}
            for row in case.table(table).itertuples():
                key = (row.bid, row.start, row.direction)
                if row.start in starts and not (row.block or getattr(row, "exclusive", "")):
                    left = getattr(row, amount) - ledger.had[key]
                    assert now.get(key, 0.0) == pytest.approx(left, abs=1e-8)
    assert (rolling.taken["session"] > case.horizon.start).any()


def test_devices_and_energies_begin_where_the_session_before_left_them(rolled):
    _, seen, rolling = rolled
    for (own, session), (after, _) in pairwise(seen):
        plan = session.parts["clear"].devices
        plan = plan[plan["start"] == own.horizon.start]
        for name, kind in (("tap_changers", "trafo"), ("capacitor_banks", "shunt")):
            before = own.table(name).set_index("element")
            for row in after.table(name).itertuples():
                mine = plan[(plan["element_type"] == kind) & (plan["element"] == row.element)].iloc[0]
                assert row.position == mine["position"]
                made = before.loc[row.element, "moves_today"]
                assert row.moves_today == (0.0 if math.isnan(made) else made) + mine["moves"]
        sold = rolling.taken[
            (rolling.taken["product"] == "active") & (rolling.taken["element_type"] == "storage")
        ]
        sold_now = set(sold["element"][sold["start"] == own.horizon.start])
        old = own.storage.set_index("element")
        for row in after.storage.itertuples():
            p_mw, _ = stated(own, "storage", row.element, own.horizon.start)
            store = old.loc[row.element]
            gain = 0.25 * (
                p_mw * store["efficiency_charge"] if p_mw > 0 else p_mw / store["efficiency_discharge"]
            )
            if row.element in sold_now or math.isnan(store["e_start_mwh"]):
                assert math.isnan(row.e_start_mwh)
            else:
                assert row.e_start_mwh == pytest.approx(store["e_start_mwh"] + gain, abs=1e-9)


def test_delivered_exchange_is_that_of_runpp(rolled, grids):
    case, _, rolling = rolled
    for start in case.horizon.starts[:4]:
        net = pp.from_json(str(grids / "mv-rural" / "grid.json"))
        for table in ("load", "sgen", "storage"):
            for element, index in zip(case.grid.labels(table), net[table].index, strict=True):
                net[table].loc[index, ["p_mw", "q_mvar"]] = stated(case, table, element, start)
        taken = rolling.taken[(rolling.taken["start"] == start) & (rolling.taken["element"] != "")]
        for row in taken.itertuples():
            index = case.grid.lookup(row.element_type)[row.element]
            scaling = SIGN[row.element_type] / net[row.element_type].loc[index, "scaling"]
            net[row.element_type].loc[index, "p_mw"] += scaling * row.p_mw
            net[row.element_type].loc[index, "q_mvar"] += scaling * row.q_mvar
        at = rolling.devices[rolling.devices["start"] == start]
        for row in at[at["element_type"] != "storage"].itertuples():
            index, column = case.grid.lookup(row.element_type)[row.element], "tap_pos"
            net[row.element_type].loc[index, "step" if row.element_type == "shunt" else column] = row.position
        pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9)
        found = rolling.exchange[rolling.exchange["start"] == start].iloc[0]
        assert found["p_mw"] == pytest.approx(net.res_ext_grid["p_mw"].sum(), abs=1e-6)
        assert found["q_mvar"] == pytest.approx(net.res_ext_grid["q_mvar"].sum(), abs=1e-6)


def test_ledger_holds_what_the_sessions_settle_for_the_periods_that_are_delivered(rolled, tmp_path):
    case, seen, rolling = rolled
    starts = set(case.horizon.starts[:4])
    frames = []
    for own, session in seen:
        for job in ("settle_activation", "settle"):
            agents = session.parts[job].agents
            frames.append(agents[agents["start"].isin(starts)].assign(session=own.horizon.start))
    settled = pd.concat(frames)
    keys = ["start", "session", "product", "bid", "direction"]
    columns = ["scheduled", "energy", "price_eur", "paid_eur"]
    one, other = (table.set_index(keys)[columns].sort_index() for table in (settled, rolling.ledger))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    # Something is owed for a period that an earlier session has taken it for.
    assert (rolling.ledger["session"] < rolling.ledger["start"]).any()
    by_taken = rolling.taken[rolling.taken["start"].isin(starts) & (rolling.taken["bid"] != "")]
    mw = by_taken.groupby(["start", "product"])["amount"].sum()
    energy = rolling.ledger.groupby(["start", "product"])["energy"].sum()
    pd.testing.assert_series_equal(mw * 0.25, energy, check_names=False, atol=1e-4, rtol=0.0)
    rolling.write(tmp_path)
    read = {
        name: pd.read_csv(tmp_path / f"{name}.csv", dtype=str) for name in ("ledger", "owed", "statements")
    }

    def total(name, *columns):
        return sum((Decimal(text) for column in columns for text in read[name][column]), Decimal(0))

    assert total("ledger", "paid_eur") == total("statements", "paid_eur")
    assert total("ledger", "paid_eur") == total("owed", "active_eur", "reactive_eur") != 0
    parts = ("active_eur", "reactive_eur", "moves_eur", "losses_eur")
    assert total("owed", "total_eur") == total("owed", *parts)
    assert total("owed", "losses_eur") > 0


def test_ledger_of_sessions_of_one_period_is_the_sum_of_their_settlements(grids):
    case, seen = window(shipped_case(grids / "mv-rural"), 0, 2), []
    rolling = gc.roll(
        case, sessions=2, periods=1, threads=1, map_periods=0, each=lambda *pair: seen.append(pair[:2])
    )
    for (_, session), owed in zip(seen, rolling.owed.itertuples(), strict=True):
        service = session.parts["settle"].periods.iloc[0]
        paid = session.parts["settle_activation"].periods["paid_eur"].sum()
        assert owed.total_eur == pytest.approx(service["service_eur"] + paid, abs=1e-9)
        assert (owed.moves_eur, owed.losses_eur) == (service["moves_eur"], service["losses_eur"])
        assert owed.active_eur == pytest.approx(paid, abs=1e-9)


def test_window_shrinks_at_the_end_and_one_session_is_the_session(grids):
    case = window(shipped_case(grids / "mv-rural"), 0, 3)
    seen = []
    gc.roll(case, sessions=3, periods=2, threads=1, map_periods=0, each=lambda *pair: seen.append(pair[:2]))
    assert [own.horizon.periods for own, _ in seen] == [2, 2, 1]
    alone = gc.run_session(window(case, 0, 2), threads=1, map_periods=0, in_turn=True)
    for job, part in seen[0][1].parts.items():
        for name, table in part.tables.items():
            pd.testing.assert_frame_equal(table, alone.parts[job].tables[name], check_exact=True)


def needing(*rows, periods, bids):
    """A case of the tiny net with a need: rows of (period, direction, MW)."""
    case = tiny_case(*bids, periods=periods, limits=LOOSE)
    stamps = [START + period * STEP for period, _, _ in rows]
    table = pd.DataFrame(rows, columns=["start", "direction", "p_mw"]).assign(start=stamps)
    return dataclasses.replace(case, active_need=table.astype(case.active_need.dtypes.to_dict()))


def after_one(case):
    """The case of the second session, after one over the whole case."""
    session = gc.run_session(case, threads=1, map_periods=0)
    carried = carry_on(case, session.parts, Carried.nothing())
    return binding_case(case, 1, case.horizon.periods - 1, carried), carried, session


def test_block_is_offered_only_where_all_of_it_is_seen_and_rests_where_it_is_taken():
    rows = [bid("A", "park", "up", 0.4, period=p, block="b") for p in (0, 1, 2)]
    rows += [bid("B", "farm", "up", 0.3, period=p, block="c") for p in (1, 2)]
    case = needing((1, "up", 0.1), (2, "up", 0.1), periods=3, bids=rows)
    assert set(window(case, 0, 2).active_bids["bid"]) == set()
    assert set(window(case, 1, 2).active_bids["bid"]) == {"B"}
    own, carried, _ = after_one(case)
    assert carried.taken["bid"].tolist() == ["B", "B"]
    left = own.active_bids.set_index("start")["p_mw"]
    assert left.to_numpy() == pytest.approx([0.2, 0.2], abs=1e-9)
    assert own.active_need["p_mw"].to_numpy() == pytest.approx([0.0, 0.0], abs=1e-9)


def test_others_of_an_exclusive_group_are_no_longer_offered():
    pair = [bid("A", "park", "up", 0.4, period=1), bid("B", "farm", "up", 0.4, period=1)]
    frame = needing((1, "up", 0.1), periods=2, bids=pair)
    case = dataclasses.replace(frame, active_bids=frame.active_bids.assign(exclusive="x"))
    own, carried, _ = after_one(case)
    assert carried.taken["bid"].tolist() == ["A"]
    assert own.active_bids["bid"].tolist() == ["A"]


def test_needs_that_stay_open_are_told():
    bids = [bid("A", "park", "up", 0.5), bid("B", "park", "up", 0.3, period=1)]
    bids.append(bid("C", "", "up", 0.4, period=1))
    case = needing((0, "up", 0.25), (1, "up", 2.0), (1, "down", 1.0), (2, "up", 9.0), periods=3, bids=bids)
    rolling = gc.roll(case, sessions=2, periods=2, threads=1, map_periods=0)
    # The first session takes all that there is: the second one has a need, and no bid.
    assert rolling.jobs.groupby("job")["status"].agg(list)["activate"] == ["short", "short"]
    assert rolling.needs["start"].tolist() == [START, START + STEP, START + STEP]
    assert rolling.needs["direction"].tolist() == ["up", "down", "up"]
    for column, values in (
        ("need_mw", [0.25, 1.0, 2.0]), ("supplied_mw", [0.25, 0.0, 0.7]), ("shortfall_mw", [0.0, 1.0, 1.3])
    ):  # fmt: skip
        assert rolling.needs[column].to_numpy() == pytest.approx(values, abs=1e-9)


def test_other_direction_of_an_exclusive_bid_stays_shut_out():
    pair = [bid("A", "park", way, 0.4, period=1) for way in ("up", "down")]
    frame = needing((1, "up", 0.1), (1, "down", 0.1), periods=2, bids=pair)
    case = dataclasses.replace(frame, active_bids=frame.active_bids.assign(exclusive="x"))
    own, carried, session = after_one(case)
    outcomes = session.parts["activate"].accepted.set_index("direction")["outcome"]
    (way,) = carried.taken["direction"].tolist()
    assert outcomes.drop(way).tolist() == ["excluded"]
    # What one session shuts out the next one does not take.
    assert own.active_bids["direction"].tolist() == [way]
    rolling = gc.roll(case, sessions=2, periods=2, threads=1, map_periods=0)
    assert rolling.taken["direction"].tolist() == [way]


@pytest.mark.parametrize(("table", "element"), [("storage", "cell"), ("line", "CD")])
def test_storage_without_supply_keeps_its_energy(table, element):
    net = tiny_net()
    pp.create_storage(net, 3, 1.0, 10.0, name="cell")
    case = gc.Case.from_pandapower(
        net, start=START, periods=2, limits=LOOSE, outages=outage(table, element, 0),
        storage=pd.DataFrame({"element": ["cell"], "e_start_mwh": [1.0]}),
    )  # fmt: skip
    rolling = gc.roll(case, sessions=2, periods=1, threads=1, map_periods=0)
    stored = rolling.devices[rolling.devices["element_type"] == "storage"]
    assert stored["energy_mwh"].tolist() == [1.0, 1.25]


def test_resource_is_not_asked_for_more_than_it_can_still_do():
    net = tiny_net()
    net.load["min_p_mw"] = 0.0
    pair = [bid("A", "town", "up", 0.8, period=1), bid("B", "town", "up", 0.7, period=1)]
    pair += [bid("C", "town", "up", 0.7, period=1, min_p_mw=0.7), bid("D", "town", "down", 0.5, period=1)]
    frame = gc.Case.from_pandapower(
        net, start=START, periods=2, limits=LOOSE,
        active_bids=pd.DataFrame(pair, columns=list(BID_COLUMNS)),
        active_need=pd.DataFrame({"start": [START + STEP], "direction": ["up"], "p_mw": [0.6]}),
    )  # fmt: skip
    own, carried, _ = after_one(frame)
    assert carried.taken["bid"].tolist() == ["A"]
    left = own.active_bids.set_index("bid")["p_mw"]
    assert left.index.tolist() == ["A", "B", "D"]  # C is indivisible: 0.4 MW are left of the town's 1 MW
    assert left["A"] == pytest.approx(0.2)
    assert left["B"] == pytest.approx(0.4)
    assert left["D"] == 0.5


def test_unconfirmed_answers_bind_nothing():
    case = needing((1, "up", 0.4), periods=2, bids=[bid("A", "park", "up", 0.4, period=1)])
    session = gc.run_session(case, threads=1, map_periods=0)
    doubtful = dataclasses.replace(session.parts["activate"], status="unconfirmed")
    carried = carry_on(case, {**session.parts, "activate": doubtful}, Carried.nothing())
    assert carried.taken.empty
    own = binding_case(case, 1, 1, carried)
    pd.testing.assert_frame_equal(own.active_bids, window(case, 1, 1).active_bids)


def test_moves_are_counted_anew_each_day():
    frame = tiny_case(bid("A", "park", "up", 0.4), periods=2, limits=LOOSE)
    changers = pd.DataFrame(
        {"element_type": ["trafo"], "element": ["T"], "mode": ["optimised"], "position": [0],
         "max_moves_day": [5], "moves_today": [3]}
    )  # fmt: skip
    net_case = gc.Case.from_pandapower(
        tiny_net(), tap_changers=changers, active_bids=frame.active_bids, periods=2
    )
    for start, counted in (("2024-05-01T10:00Z", 3.0), ("2024-05-01T23:45Z", 0.0)):
        horizon = dataclasses.replace(net_case.horizon, start=pd.Timestamp(start))
        bids = net_case.active_bids.assign(start=horizon.start)
        own, _, _ = after_one(dataclasses.replace(net_case, horizon=horizon, active_bids=bids))
        assert own.tap_changers["moves_today"].tolist() == [counted]


def test_what_no_session_can_go_on_from_is_refused(grids):
    case = shipped_case(grids / "mv-rural")
    with pytest.raises(gc.OptionError, match="28, the periods of the case"):
        gc.roll(case, sessions=29)
    with pytest.raises(gc.OptionError, match="periods is 0"):
        gc.roll(case, sessions=1, periods=0)
    with pytest.raises(gc.OptionError, match="no window"):
        window(case, 20, 9)
    decided = dataclasses.replace(case, storage=case.storage.assign(p_mode="optimised"))
    offered = set(case.active_bids["element"][case.active_bids["element_type"] == "storage"])
    with pytest.raises(gc.CaseError) as fault:
        gc.roll(decided, sessions=1)
    assert {issue.row for issue in fault.value.issues} == offered
    assert offered


def test_energy_that_the_clearing_decides_goes_on(grids):
    whole = window(shipped_case(grids / "mv-rural"), 0, 4)
    bids = whole.active_bids[whole.active_bids["element_type"] != "storage"].reset_index(drop=True)
    decided = dataclasses.replace(
        whole, storage=whole.storage.assign(p_mode="optimised", e_end_min_mwh=0.0), active_bids=bids
    )
    seen = []
    rolling = gc.roll(
        decided, sessions=2, periods=3, threads=1, map_periods=0, each=lambda *pair: seen.append(pair[:2])
    )
    plan = seen[0][1].parts["clear"].devices
    plan = plan[(plan["start"] == decided.horizon.start) & (plan["element_type"] == "storage")]
    ends = plan.set_index("element")["energy_mwh"]
    began = seen[1][0].storage.set_index("element")["e_start_mwh"]
    np.testing.assert_allclose(began.to_numpy(), ends.reindex(began.index).to_numpy(), atol=1e-9)
    power = rolling.taken[rolling.taken["product"] == "storage"]
    assert (power["start"] == power["session"]).all()


def test_session_that_is_not_complete_is_named(grids, monkeypatch):
    def fail(_):
        raise SolverError("it gave up")

    monkeypatch.setattr(
        module, "STEPS",
        tuple(dataclasses.replace(s, run=fail) if s.job == "clear" else s for s in module.STEPS),
    )  # fmt: skip
    case = window(shipped_case(grids / "mv-rural"), 0, 2)
    rolling = gc.roll(case, sessions=2, periods=2, threads=1, map_periods=0)
    assert rolling.status == "partial"
    assert rolling.sessions["incomplete"].tolist() == ["clear", "clear"]
    assert rolling.sessions["cost_eur"].isna().all()
    assert (rolling.taken["product"] == "active").all()


def repeated(case, periods):
    """The case's periods again and again until there are enough; energies of storages are not followed."""
    own, step, tables = case.horizon.periods, case.horizon.resolution, {}
    for name in TABLES:
        frame = case.table(name)
        if name != "outages" and "start" in frame:
            turns = [turn * own * step for turn in range(1 + periods // own)]
            copies = [frame.assign(start=frame["start"] + later) for later in turns]
            whole = pd.concat(copies, ignore_index=True)
            tables[name] = whole[whole["start"] < case.horizon.start + periods * step].reset_index(drop=True)
    tables["storage"] = case.storage.assign(e_start_mwh=math.nan, e_end_min_mwh=math.nan)
    return case.with_tables(tables, horizon=gc.Horizon(case.horizon.start, step, periods))


@pytest.mark.study
def test_day_of_sessions_is_answered_and_keeps_its_memory(grids):
    """Everything is answered, and what a session has used is free again."""
    pages = []

    def each(*_):
        pages.append(int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]))

    case = repeated(shipped_case(grids / "mv-rural"), 96 + 27)
    rolling = gc.roll(case, sessions=96, threads=1, map_periods=0, each=each)
    assert rolling.status == "complete", rolling.sessions[rolling.sessions["status"] != "complete"]
    assert rolling.sessions["confirmed"].all()
    assert pages[-1] <= 1.05 * pages[9]


def test_clearing_starts_from_what_is_activated(rolled):
    """Its exchange is that of the delivered period, in which both stand."""
    case, seen, rolling = rolled
    assert (rolling.sessions["broken"] == 0).all()
    for own, session in seen:
        start = own.horizon.start
        tables = (session.parts["clear"].tables["exchange"], rolling.exchange)
        planned, delivered = (table[table["start"] == start].iloc[0] for table in tables)
        assert planned["p_mw"] == pytest.approx(delivered["p_mw"], abs=1e-6)
        assert planned["q_mvar"] == pytest.approx(delivered["q_mvar"], abs=1e-6)
    assert len(seen) == len(case.horizon.starts[:4])


def test_steps_of_an_activation_count_only_where_the_operator_makes_them(grids):
    """Without a clearing the devices stand where the activation has them; regulators are not counted."""
    case = window(shipped_case(grids / "mv-rural"), 0, 2)
    session = gc.run_session(case, threads=1, map_periods=0)
    plan = session.parts["activate"].devices.assign(position=lambda table: table["position"] + 2)
    parts = {**session.parts, "activate": dataclasses.replace(session.parts["activate"], devices=plan)}
    del parts["clear"]
    carried = carry_on(case, parts, Carried.nothing())
    now = plan[plan["start"] == case.horizon.start]
    for row in now.itertuples():
        assert carried.positions[row.element_type, row.element] == row.position
        # The changers of this case are automatic, its banks optimised.
        assert carried.moves_today[row.element_type, row.element] == (2 if row.element_type == "shunt" else 0)
