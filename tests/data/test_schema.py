"""The clip table: what makes it unusable is found, what is right passes, and Arrow gives back what it got."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_data.schema import APEX_SOURCES, SCHEMA, Clip, find_problems, from_table, to_table

GOOD = Clip(
    "casme2",
    "casme2/sub01",
    "EP02_01f",
    "happiness",
    46,
    59,
    86,
    "annotated",
    "R1+L2",
    200.0,
    "sub01/EP02_01f",
)


def problems(*clips: Clip) -> list[str]:
    return [str(problem) for problem in find_problems(clips, "sheet.csv")]


def the_problem(**changed: Any) -> str:
    found = problems(replace(GOOD, **changed))
    assert len(found) == 1, found
    return found[0]


def test_id_is_qualified_by_dataset_and_subject() -> None:
    assert GOOD.id == "casme2/sub01/EP02_01f"


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"onset": None, "apex": None, "offset": None, "apex_source": None},
        {"apex": None, "apex_source": None},
        {"offset": None},
        {"onset": None},
        {"apex": 86},  # the apex may be the last frame
        {"onset": 0},
        {"action_units": None, "fps": None, "frames": None},
        *({"apex_source": source} for source in APEX_SOURCES),
    ],
)
def test_right_clips_pass(changed: dict[str, Any]) -> None:
    assert problems(replace(GOOD, **changed)) == []


def test_an_empty_table_is_a_problem() -> None:
    assert problems() == ["sheet.csv: no clips"]


@pytest.mark.parametrize("value", ["", "a/b", "a\0b", ".", ".."])
@pytest.mark.parametrize("field", ["name", "emotion"])
def test_names_are_plain(field: str, value: str) -> None:
    message = the_problem(**{field: value})
    assert message.startswith("sheet.csv, clip ")
    assert f"{field} {value!r}" in message


@pytest.mark.parametrize("value", ["", "a/b", "a\0b", ".", ".."])
def test_dataset_is_a_plain_name(value: str) -> None:
    found = problems(replace(GOOD, dataset=value, subject=f"{value}/sub01"))
    assert any(f"dataset {value!r}" in problem for problem in found)


@pytest.mark.parametrize("subject", ["", "sub01", "casme2", "casme2/", "smic/sub01", "casme2/a/b", "/sub01"])
def test_subjects_are_qualified_by_their_own_dataset(subject: str) -> None:
    message = the_problem(subject=subject)
    assert f"subject {subject!r}" in message
    assert "casme2/NAME" in message


@pytest.mark.parametrize("field", ["onset", "apex", "offset"])
def test_frame_numbers_are_not_negative(field: str) -> None:
    changed: dict[str, Any] = {field: -1}
    assert any(f"{field} -1 is not a frame number" in problem for problem in problems(replace(GOOD, **changed)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"apex": 46}, "onset 46 is not before apex 46"),  # no motion: a missing apex, not an apex
        ({"apex": 45}, "onset 46 is not before apex 45"),
        ({"apex": 87}, "apex 87 is not before offset 86"),
        ({"apex": None, "apex_source": None, "offset": 46}, "onset 46 is not before offset 46"),
        ({"apex": None, "apex_source": None, "offset": 45}, "onset 46 is not before offset 45"),
        ({"onset": None, "offset": 58}, "apex 59 is not before offset 58"),
    ],
)
def test_frames_are_in_order(changed: dict[str, Any], said: str) -> None:
    message = the_problem(**changed)
    assert GOOD.id in message
    assert said in message


def test_an_apex_and_its_source_go_together() -> None:
    assert "together" in the_problem(apex_source=None)
    assert "together" in the_problem(apex=None)
    message = the_problem(apex_source="guessed")
    assert "'guessed'" in message
    assert all(source in message for source in APEX_SOURCES)


def test_a_clip_is_listed_once() -> None:
    found = problems(GOOD, replace(GOOD, emotion="disgust"), replace(GOOD, subject="casme2/sub02"))
    assert len(found) == 1
    assert f"sheet.csv, clip {GOOD.id}: listed 2 times" in found[0]


def test_all_problems_are_found_together() -> None:
    found = problems(replace(GOOD, name="", onset=-3), replace(GOOD, subject="sub01"), GOOD, GOOD)
    assert len(found) == 4


# One test for each kind of value that a sheet can hold and the table cannot.
@pytest.mark.parametrize("changed", [{"offset": 2**31}, {"fps": float("nan")}, {"fps": -25.0}])
def test_numbers_fit_the_table(changed: dict[str, Any]) -> None:
    assert problems(replace(GOOD, **changed))


@pytest.mark.parametrize("changed", [{"subject": "casme2/.."}, {"subject": "casme2/a\0"}, {"name": "\ud800"}])
def test_names_can_be_written(changed: dict[str, Any]) -> None:
    assert problems(replace(GOOD, **changed))


words = st.text(st.characters(codec="utf-8"), max_size=6)
numbers = st.none() | st.integers(-(2**31), 2**31 - 1)


@given(
    st.lists(
        st.builds(
            Clip,
            dataset=words,
            subject=words,
            name=words,
            emotion=words,
            onset=numbers,
            apex=numbers,
            offset=numbers,
            apex_source=st.none() | words,
            action_units=st.none() | words,
            fps=st.none() | st.floats(width=32, allow_nan=False),
            frames=st.none() | words,
        ),
        max_size=5,
    )
)
def test_arrow_gives_back_what_it_got(clips: list[Clip]) -> None:
    table = to_table(clips)
    assert table.schema == SCHEMA
    assert from_table(table) == tuple(clips)
    find_problems(clips, "sheet.csv")  # finds or passes, but never raises


def test_the_schema_has_the_fields_of_a_clip() -> None:
    assert SCHEMA.names == list(Clip.__slots__)
    required = [field.name for field in SCHEMA if not field.nullable]
    assert required == ["dataset", "subject", "name", "emotion"]


def test_a_table_of_another_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="name"):
        from_table(pa.table({"clip": ["a"]}))
