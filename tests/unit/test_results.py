"""Result folders: exact both ways, whole or not at all."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridclear.errors import CaseError, OptionError
from gridclear.io.results import jsonable, read_result, records, write_result

STARTS = pd.to_datetime(["2016-03-27T00:45:00Z", "2016-03-27T01:00:00Z", "2016-03-27T01:15:00Z"]).as_unit(
    "ns"
)


def lights() -> pd.DataFrame:
    """Numbers that lose digits easily, and names that look like something else."""
    return pd.DataFrame(
        {
            "start": STARTS,
            "bid": ["007", "NA", 'a "quoted", name'],
            "accepted_mw": [0.1 + 0.2, 1e-17, math.nan],
            "position": [-9.0, 0.0, math.nan],
            "moves": np.array([0, 2, 9_007_199_254_740_993]),
            "held": [True, False, True],
            "reason": ["", "line 'Süd' at 104,2 %", "two\nlines"],
        }
    )


def write(folder: Path, tables: dict[str, pd.DataFrame], format: str = "csv") -> Path:
    return write_result(folder, tables, status="complete", provenance={"seed": 7}, format=format)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_tables_come_back_bit_for_bit(tmp_path, format):
    empty = lights().iloc[:0]
    write(tmp_path / "new" / "folder", {"lights": lights(), "devices": empty}, format)
    stored = read_result(tmp_path / "new" / "folder")
    pd.testing.assert_frame_equal(stored.tables["lights"], lights(), check_exact=True)
    pd.testing.assert_frame_equal(stored.tables["devices"], empty, check_exact=True)
    assert (stored.status, stored.provenance) == ("complete", {"seed": 7})


def test_csv_is_what_a_spreadsheet_expects(tmp_path):
    write(tmp_path, {"lights": lights().iloc[:2]})
    assert (tmp_path / "lights.csv").read_bytes().decode().splitlines() == [
        "start,bid,accepted_mw,position,moves,held,reason",
        "2016-03-27T00:45:00Z,007,0.30000000000000004,-9.0,0,True,",
        "2016-03-27T01:00:00Z,NA,1e-17,0.0,2,False,\"line 'Süd' at 104,2 %\"",
    ]


def test_local_times_are_written_in_utc(tmp_path):
    table = lights().assign(start=STARTS.tz_convert("Europe/Lisbon"))
    write(tmp_path, {"lights": table})
    assert (
        (tmp_path / "lights.csv")
        .read_text(encoding="utf-8")
        .splitlines()[2]
        .startswith("2016-03-27T01:00:00Z")
    )


def test_fractions_of_a_second_survive(tmp_path):
    table = lights().assign(start=STARTS + pd.Timedelta("250ms"))
    write(tmp_path, {"lights": table})
    pd.testing.assert_frame_equal(read_result(tmp_path).tables["lights"], table, check_exact=True)


def test_row_labels_and_input_stay_as_they_are(tmp_path):
    table = lights().set_index(pd.Index([5, 5, 9]))
    before = table.copy(deep=True)
    write(tmp_path, {"lights": table})
    pd.testing.assert_frame_equal(table, before)
    pd.testing.assert_frame_equal(read_result(tmp_path).tables["lights"], lights())


def test_other_format_does_not_linger(tmp_path):
    write(tmp_path, {"lights": lights()}, "parquet")
    write(tmp_path, {"lights": lights()}, "csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lights.csv", "result.json"]


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "forecast.parquet").write_bytes(b"mine")
    write(tmp_path, {"lights": lights()})
    assert (tmp_path / "forecast.parquet").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("tables", "format", "fault"),
    [
        ({"lights": lights(), "devices": lights().assign(start=STARTS.tz_localize(None))}, "csv", ValueError),
        ({"lights": lights(), "../escape": lights()}, "csv", ValueError),
        ({"lights": lights()}, "xlsx", OptionError),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, tables, format, fault):
    with pytest.raises(fault):
        write(tmp_path / "result", tables, format)
    assert list(tmp_path.iterdir()) == []


def test_unstorable_provenance_leaves_nothing(tmp_path):
    with pytest.raises(TypeError, match="object has no place"):
        write_result(
            tmp_path / "result", {"lights": lights()}, status="complete", provenance={"it": object()}
        )
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "result").write_text("a file")
    with pytest.raises(OptionError, match="it is a file"):
        write(tmp_path / "result", {"lights": lights()})


def test_interrupted_write_leaves_no_folder_that_looks_whole(tmp_path, monkeypatch):
    write(tmp_path, {"lights": lights(), "devices": lights()})
    changed = lights().assign(moves=1)
    real, done = Path.replace, []

    def interrupt(part: Path, target: Path) -> Path:
        if done:
            raise KeyboardInterrupt
        done.append(target)
        return real(part, target)

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, {"lights": changed, "devices": changed})
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]
    with pytest.raises(CaseError):
        read_result(tmp_path)


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_torn_folder_is_refused(tmp_path, harm):
    write(tmp_path, {"lights": lights(), "devices": lights()})
    if harm == "change":
        with (tmp_path / "lights.csv").open("a") as file:
            file.write("2016-03-27T01:30:00Z,B,1,0,0,True,\n")
    else:
        (tmp_path / "lights.csv").unlink()
    with pytest.raises(CaseError) as caught:
        read_result(tmp_path)
    assert [issue.file for issue in caught.value.issues] == ["lights.csv"]


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"status": "complete", "tables": 3, "provenance": {}}']
)
def test_unreadable_summary_is_an_issue(tmp_path, content):
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(CaseError) as caught:
        read_result(tmp_path)
    assert [issue.file for issue in caught.value.issues] == ["result.json"]


def test_summary_cannot_point_outside(tmp_path):
    folder = write(tmp_path / "result", {"lights": lights()})
    (folder / "lights.csv").rename(tmp_path / "lights.csv")
    summary = folder / "result.json"
    summary.write_text(summary.read_text().replace('"lights.csv"', '"../lights.csv"'))
    with pytest.raises(CaseError):
        read_result(folder)


def test_json_has_no_nan_and_says_times_in_utc():
    value = {
        "nan": math.nan,
        "infinite": np.float64("inf"),
        "whole": np.int64(3),
        "yes": np.bool_(True),
        "when": pd.Timestamp("2016-06-19T12:00:00+02:00"),
        "long ago": datetime(2016, 6, 19, 10, tzinfo=UTC),
        "span": timedelta(minutes=15),
        "never": pd.NaT,
        "where": Path("a"),
        "list": (1, np.array([0.5, math.nan])),
    }
    assert json.loads(json.dumps(jsonable(value), allow_nan=False)) == {
        "nan": None,
        "infinite": None,
        "whole": 3,
        "yes": True,
        "when": "2016-06-19T10:00:00Z",
        "long ago": "2016-06-19T10:00:00Z",
        "span": 900.0,
        "never": None,
        "where": "a",
        "list": [1, [0.5, None]],
    }


def test_records_are_rows():
    rows = records(lights())
    assert len(rows) == 3
    assert list(rows[0]) == list(lights().columns)
    assert rows[2]["accepted_mw"] is None
    assert rows[0]["start"] == "2016-03-27T00:45:00Z"
    assert rows[0]["accepted_mw"] == 0.1 + 0.2
    assert records(lights().iloc[:0]) == []
