"""A market session: every job as if it were alone, what fails alone, and a page that holds."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

import pandapower as pp
import pandas as pd
import pytest
from lights_support import START, bid, shipped_case, tiny_case, tiny_net

import gridclear as gc
from gridclear.case.window import window
from gridclear.errors import Issue, SolverError
from gridclear.io.results import read_result
from gridclear.jobs import session as module

JOBS = ["flow", "outlook", "congestion", "tlq", "activate", "settle_activation", "pq_map", "clear", "settle"]


class Page(HTMLParser):
    """Tags that are open, and everything that could lead out of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.outside = "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "line", "polyline"):
            self.open.append(tag)
        self.outside += [pair for pair in attrs if pair[0] in ("src", "href") or pair[0].startswith("on")]
        self.outside += [tag] if tag in ("script", "link", "iframe", "object", "img") else []

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def rural(grids):
    case = shipped_case(grids / "mv-rural")
    return case, gc.run_session(case, threads=1)


def test_every_job_says_what_it_says_alone(rural):
    case, session = rural
    assert session.status == "complete"
    assert session.jobs["job"].tolist() == list(session.parts) == JOBS
    clearing, activation = gc.clear(case, threads=1), gc.activate(case, threads=1)
    alone = {
        "flow": gc.power_flow(case, threads=1),
        "outlook": gc.outlook(case),
        "congestion": gc.congestion_forecast(case, threads=1),
        "tlq": gc.qualify(case, threads=1),
        "activate": activation,
        "settle_activation": gc.settle_activation(case, activation),
        "pq_map": gc.pq_map(window(case, 0, 1), threads=1),
        "clear": clearing,
        "settle": gc.settle(case, clearing, threads=1),
    }
    for job, part in session.parts.items():
        for name, table in part.tables.items():
            pd.testing.assert_frame_equal(table, alone[job].tables[name], check_exact=True)


def test_jobs_without_data_are_skipped_and_say_why():
    case = tiny_case(bid("A", "park", "up", 0.5), limits=gc.Limits(0.9, 1.1, 1000.0))
    session = gc.run_session(case)
    assert session.status == "complete"
    assert list(session.parts) == ["flow", "outlook", "congestion", "tlq"]
    reason = dict(zip(session.jobs["job"], session.jobs["reason"], strict=True))
    assert reason["activate"] == "the case has no rows in active_need"
    assert reason["pq_map"] == "the case has no rows in reactive_bids or tap_changers or capacitor_banks"
    assert reason["clear"] == "the case has no rows in reactive_profile or reactive_bids"
    assert reason["settle"] == "there is no result of clear"


def test_need_without_any_bid_is_short_and_told():
    need = pd.DataFrame({"start": START, "direction": ["up", "down"], "p_mw": [2.0, 0.0]})
    for rows, status in ((need, "short"), (need.iloc[1:], "skipped")):
        jobs = gc.run_session(tiny_case(active_need=rows), map_periods=0).jobs.set_index("job")
        assert jobs.loc["activate", "status"] == status
        assert jobs["complete"].all()
        told = "the case has no rows in active_bids"
        told += ": 0.5 MWh that the TSO needs are not covered" if status == "short" else ""
        assert jobs.loc["activate", "reason"] == told


@pytest.mark.parametrize(
    "fault", [SolverError("it gave up"), gc.CaseError((Issue("grid", "L", "x", "it is bent", "straight"),))]
)
def test_job_that_fails_leaves_the_others(rural, monkeypatch, fault):
    def fail(_):
        raise fault

    case, session = rural
    steps = tuple(
        dataclasses.replace(step, run=fail) if step.job == "tlq" else step
        for step in module.STEPS
        if step.job not in ("pq_map", "clear", "settle")
    )
    monkeypatch.setattr(module, "STEPS", steps)
    other = gc.run_session(case, threads=1)
    assert other.status == "partial"
    row = other.jobs.set_index("job").loc["tlq"]
    assert row["status"] == "refused"
    assert ("it gave up" in row["reason"]) or ("it is bent" in row["reason"])
    accepted = other.parts["activate"].tables["accepted"]
    pd.testing.assert_frame_equal(accepted, session.parts["activate"].tables["accepted"], check_exact=True)


def test_folder_holds_every_table_and_only_what_this_session_gave(rural, tmp_path):
    _, session = rural
    session.write(tmp_path)
    for job, part in session.parts.items():
        read = read_result(tmp_path / job)
        assert read.status == part.status
        assert set(read.tables) == set(part.tables)
    assert read_result(tmp_path).status == "complete"
    less = dataclasses.replace(
        session, parts={job: part for job, part in session.parts.items() if job != "settle"}
    )
    less.write(tmp_path)
    with pytest.raises(gc.CaseError):
        read_result(tmp_path / "settle")
    assert read_result(tmp_path / "clear").status == session.parts["clear"].status


def test_page_needs_nothing_else_and_escapes_names(rural, tmp_path):
    case, session = rural
    spiteful = dataclasses.replace(case, name='<script>alert("x")</script>')
    path = gc.write_report(spiteful, session, tmp_path)
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    assert page.outside == []
    assert '<script>alert("x")</script>: market session' in page.text
    for words in (
        "Traffic lights",
        "Activation of active power",
        "Settlement of the activation",
        "Settlement of the clearing",
        "Congestion forecast",
        "Maps of reactive power",
    ):
        assert words in page.text
    assert "url(" not in path.read_text(encoding="utf-8")
    assert "\x1b" not in page.text


@pytest.mark.parametrize(
    ("resolution", "periods"), [("PT15M", 96), ("PT15M", 48), ("PT1H", 12), ("PT5M", 12)]
)
def test_horizon_and_resolution_are_data(resolution, periods):
    """A day, half a day in two ways, and an hour near real time: energies and money follow the hours."""
    step, net = pd.Timedelta(resolution), tiny_net()
    net.sgen["sn_mva"] = 3.0
    starts = pd.date_range("2024-05-01T00:00Z", periods=periods, freq=step)

    def rows(**columns):
        return pd.DataFrame({"start": starts, **columns})

    pp.create_storage(net, 3, 0.0, 2.0, name="cell", sn_mva=1.0, controllable=True)
    case = gc.Case.from_pandapower(
        net,
        start=starts[0],
        resolution=resolution,
        periods=periods,
        limits=gc.Limits(0.9, 1.1, 1000.0),
        prices=gc.Prices(losses_eur_mwh=60.0),
        storage=pd.DataFrame(
            {"element": ["cell"], "p_min_mw": [-1.0], "p_max_mw": [1.0], "e_max_mwh": [2.0],
             "e_start_mwh": [1.0], "e_end_min_mwh": [1.0], "p_mode": ["optimised"]}
        ),
        active_bids=rows(bid="A", element_type="sgen", element="park", direction="up", p_mw=0.5,
                         price_eur_mwh=50.0),
        active_need=rows(direction="up", p_mw=0.4),
        reactive_bids=rows(bid="Q", element_type="sgen", element="farm", direction="inject", q_mvar=1.0,
                           price_eur_mvarh=10.0),
        reactive_profile=rows(connection_point="grid", q_mvar=0.5, tolerance_mvar=0.05),
    )  # fmt: skip
    session = gc.run_session(case, threads=1)
    assert session.status == "complete", session.jobs
    assert (session.jobs["status"] != "skipped").all()
    assert case.horizon.hours == step / pd.Timedelta("1h")
    accepted = session.parts["activate"].tables["accepted"]
    assert len(accepted) == periods
    assert accepted["paid_eur"].to_numpy() == pytest.approx(
        round(0.4 * case.horizon.hours * 50.0, 2), abs=0.0051
    )
    clearing = session.parts["clear"]
    plan, devices = clearing.tables["schedule"], clearing.tables["devices"]
    taken = plan[plan["bid"] == "Q"]
    assert taken["cost_eur"].to_numpy() == pytest.approx(
        taken["q_mvar"] * 10.0 * case.horizon.hours, abs=1e-9
    )
    power = plan[(plan["element"] == "cell") & (plan["bid"] == "")].set_index("start")["p_mw"]
    energy = devices[devices["element"] == "cell"].set_index("start")["energy_mwh"]
    follows = 1.0 - (power * case.horizon.hours).cumsum()
    assert energy.to_numpy() == pytest.approx(follows.to_numpy(), abs=1e-9)
