"""The commands of the market: exit codes, files, and what people read."""

import json
import shutil

import pandas as pd
import pytest
from click.testing import CliRunner

from gridclear.cli import main
from gridclear.io.lock import alone_in
from gridclear.io.results import read_result


@pytest.fixture(scope="module")
def rural(grids, tmp_path_factory):
    """The first two periods of a shipped case."""
    folder = tmp_path_factory.mktemp("cases") / "rural"
    shutil.copytree(grids / "mv-rural", folder)
    settings = (folder / "case.toml").read_text(encoding="utf-8")
    starts = ["2016-05-02T06:00:00Z", "2016-05-02T06:15:00Z"]
    (folder / "case.toml").write_text(settings.replace("periods = 28", "periods = 2"), encoding="utf-8")
    for path in folder.glob("*.csv"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        if "start" in table and path.stem != "outages":
            table[table["start"].isin(starts)].to_csv(path, index=False)
    (folder / "outages.csv").unlink()
    return folder


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_activation_is_written_and_shown(rural, tmp_path):
    done = run("activate", rural, "--losses", "-o", tmp_path)
    assert done.exit_code == 0, done.output
    result = read_result(tmp_path)
    assert set(result.tables) == {"accepted", "prices", "proof", "devices"}
    assert result.status == "covered"
    assert "all needs are covered" in done.stderr
    assert done.stdout == ""


def test_activation_is_settled_if_asked(rural, tmp_path):
    done = run("activate", rural, "--settle", "-o", tmp_path)
    assert done.exit_code == 0, done.output
    paid = read_result(tmp_path).tables["accepted"]["paid_eur"].sum()
    bill = read_result(tmp_path / "settlement")
    assert bill.status == "scheduled"
    assert bill.tables["statements"]["amount_eur"].sum() == pytest.approx(paid, abs=1e-6)
    assert "EUR by day and direction" in done.stderr


def test_activation_without_some_base_states_is_settled_as_in_a_session(rural, tmp_path):
    case = tmp_path / "case"
    shutil.copytree(rural, case)
    table = pd.read_csv(case / "forecast.csv", dtype=str, keep_default_na=False)
    bids = pd.read_csv(case / "active_bids.csv", dtype=str, keep_default_na=False)
    later = (table["element_type"] == "load") & (table["start"] == "2016-05-02T06:15:00Z")
    later &= ~table["element"].isin(bids["element"])
    table.loc[later, "p_mw"] = "1000"  # no grid bears that: the period has no power flow
    table.to_csv(case / "forecast.csv", index=False)
    done = run("activate", case, "--settle", "-o", tmp_path / "out")
    assert done.exit_code == 3, done.output
    assert "no complete answer: partial" in done.stderr
    accepted = read_result(tmp_path / "out").tables["accepted"]
    agents = read_result(tmp_path / "out" / "settlement").tables["agents"]
    assert agents["paid_eur"].sum() == pytest.approx(accepted["paid_eur"].sum(), abs=1e-6)
    assert len(agents) == (accepted["accepted_mw"] > 0.0).sum() > 0
    # What was settled before does not stand beside an activation that is not settled.
    assert run("activate", case, "-o", tmp_path / "out").exit_code == 3
    assert not (tmp_path / "out" / "settlement" / "result.json").exists()


def test_bill_of_an_activation_is_printed_and_a_provisional_one_is_not_complete(rural, tmp_path):
    case = tmp_path / "case"
    shutil.copytree(rural, case)
    accepted = json.loads(run("activate", case, "--json").stdout)["accepted"]
    one = next(row for row in accepted if row["accepted_mw"] > 0.0 and row["direction"] == "up")
    metered = f"bid,start,p_mw\n{one['bid']},{one['start']},{one['accepted_mw']}\n"
    (case / "metered.csv").write_text(metered, encoding="utf-8")
    done = run("activate", case, "--settle", "--json")
    data = json.loads(done.stdout)
    assert (done.exit_code, data["status"]) == (3, "covered")
    assert data["settlement"]["status"] == "provisional"
    assert "no complete answer: provisional" in done.stderr
    states = {
        row["bid"]: row["state"] for row in data["settlement"]["agents"] if row["start"] == one["start"]
    }
    assert states[one["bid"]] == "metered"
    assert "not-metered" in states.values()


def test_activation_that_is_not_confirmed_ends_with_three(grids, tmp_path):
    done = run("activate", grids / "mv-rural", "--guarantee", "each", "-o", tmp_path)
    assert done.exit_code == 3
    assert read_result(tmp_path).status == "unconfirmed"
    assert "Not confirmed" in done.stderr
    assert "overvoltage" in done.stderr


def test_settlement_and_session_follow_the_terms_of_the_case(rural, tmp_path):
    agreed = shutil.copytree(rural, tmp_path / "agreed")
    with (agreed / "case.toml").open("a", encoding="utf-8") as file:
        file.write(
            '[settlement]\npricing = "pay-as-clear"\ntolerance_percent = 3.0\npenalty_eur_mvarh = 20.0\n'
        )
    terms = {
        "pricing": "pay-as-clear",
        "tolerance_percent": 3.0,
        "penalty_eur_mvarh": 20.0,
        "penalty_eur_mwh": 0.0,
    }
    assert run("settle", agreed, "-o", tmp_path / "a").exit_code == 0
    assert read_result(tmp_path / "a").provenance["options"] == terms
    assert run("settle", agreed, "-o", tmp_path / "b", "--tolerance", "0").exit_code == 0
    assert read_result(tmp_path / "b").provenance["options"] == terms | {"tolerance_percent": 0.0}
    assert run("session", agreed, "-o", tmp_path / "c", "--pricing", "pay-as-bid").exit_code == 0
    assert read_result(tmp_path / "c" / "settle").provenance["options"] == terms | {"pricing": "pay-as-bid"}


def test_activation_without_need_names_the_table(rural, tmp_path):
    bare = shutil.copytree(rural, tmp_path / "bare")
    (bare / "active_need.csv").unlink()
    done = run("activate", bare, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "active_need" in done.stderr
    assert not (tmp_path / "out").exists()


def test_settlement_is_written_shown_and_printed(rural, tmp_path):
    done = run("settle", rural, "-o", tmp_path, "--json", "--pricing", "pay-as-clear")
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert data["status"] == read_result(tmp_path).status == "scheduled"
    assert set(data) == {
        "status", "provenance", "shares", "agents", "periods", "prices", "statements", "days",
    }  # fmt: skip
    assert "nothing is metered" in done.stderr
    assert "no bound was proved" in done.stderr


def test_settlement_with_missing_metering_ends_with_three(rural, tmp_path):
    run("settle", rural, "-o", tmp_path / "first")
    agents = pd.read_csv(tmp_path / "first" / "agents.csv")
    assert len(agents) >= 1
    metered = shutil.copytree(rural, tmp_path / "metered")
    # A bid that is metered, but was not taken.
    taken = set(zip(agents["bid"], agents["start"], strict=True))
    bids = pd.read_csv(rural / "reactive_bids.csv")
    other = next(row for row in bids.itertuples() if (row.bid, row.start) not in taken)
    pd.DataFrame({"bid": [other.bid], "start": [other.start], "q_mvar": [0.0]}).to_csv(
        metered / "metered.csv", index=False
    )
    done = run("settle", metered, "-o", tmp_path / "out")
    assert done.exit_code == 3
    assert "Accepted and not metered" in done.stderr
    assert agents["bid"].iloc[0] in done.stderr


def test_wrong_terms_are_a_fault_of_usage(rural, tmp_path):
    done = run("settle", rural, "--tolerance", "-1", "-o", tmp_path)
    assert done.exit_code == 2
    assert "tolerance_percent" in done.stderr


def test_session_writes_every_job_and_a_page(rural, tmp_path):
    done = run("session", rural, "-o", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    jobs = [
        "flow",
        "outlook",
        "congestion",
        "tlq",
        "activate",
        "settle_activation",
        "pq_map",
        "clear",
        "settle",
    ]
    assert [row["job"] for row in data["jobs"]] == jobs
    for job in jobs:
        assert data[job]["status"] == read_result(tmp_path / job).status
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_session_that_lacks_an_answer_ends_with_three(rural, tmp_path):
    done = run("session", rural, "-o", tmp_path, "--deadline", "1e-9")
    assert done.exit_code == 3
    statuses = dict(pd.read_csv(tmp_path / "jobs.csv")[["job", "status"]].to_numpy())
    assert statuses["clear"] == "deadline"
    assert statuses["activate"] == "covered"


def test_rolling_sessions_are_written_one_by_one_and_summed_up(rural, tmp_path):
    done = run("roll", rural, "--sessions", 2, "--periods", 2, "--map-periods", 0, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    whole = read_result(tmp_path)
    money = {"ledger", "owed", "statements"}
    others = {"sessions", "jobs", "taken", "needs", "devices", "exchange", "violations"}
    assert set(whole.tables) == money | others
    assert "owed for the delivered periods, EUR: active" in done.stderr
    folders = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert folders == ["20160502T060000Z", "20160502T061500Z"]
    for folder in folders:
        assert read_result(tmp_path / folder).status == "complete"
        assert (tmp_path / folder / "report.html").is_file()
    assert "2 of 2 sessions are complete" in done.stderr
    assert done.stdout == ""
    again = run("roll", rural, "--sessions", 2, "--periods", 2, "--map-periods", 0, "--json")
    assert again.exit_code == 0
    data = json.loads(again.stdout)
    assert len(data["sessions"]) == 2
    assert len(data["taken"]) == len(whole.tables["taken"])


def test_two_runs_do_not_work_in_one_folder(rural, tmp_path):
    (tmp_path / "out").mkdir()
    with alone_in(tmp_path / "out"):
        done = run("roll", rural, "--sessions", 1, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "another run" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]


def test_more_sessions_than_periods_are_wrong_usage(rural, tmp_path):
    done = run("roll", rural, "--sessions", 3, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "it must be from 1 to 2" in done.stderr
    assert not (tmp_path / "out").exists()
