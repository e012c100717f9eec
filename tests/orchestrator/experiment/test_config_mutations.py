"""Whatever stands in an experiment file, it is read or refused in words; it never breaks the program."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_data.problems import BadInput
from orchestrator.experiment import config

EXAMPLES = int(os.environ.get("MER_MUTATIONS", "300"))
GOOD = """\
name: trial
store: data
datasets: [{name: blobs, classes: native, union: [a, b]}]
models: [ststnet, majority]
protocol: loso
recipes:
  ststnet: {epochs: 5, lr: 1e-4}
seeds: [0, 1]
search: {groups: 3, sampler: tpe, space: {ststnet: {lr: {low: 1e-5, high: 1e-3, log: true}}}, hours: 2.5}
fold_minutes: 3
plugins: [mine.py]
"""
PIECES = st.one_of(
    st.sampled_from(
        ["&a ", "*a", "<<: ", "!!python/object:os.system ", "!!binary ", "!!set ", "? ", "- ", ": ", "[", "]", "{", "}",
         "\t", "\n", "\0", "\x1b", "...", "---", "nan", ".inf", "1e999", "0x", "2024-02-30", "9" * 5000, "~", "null",
         "true", "-1", "''", '"', "'", "|", ">", "%YAML 9.9", "\u202e", "\ufeff", "12:30:45", "{a: b}", "[[[[[["]
    ),
    st.text(max_size=6),
    st.integers(-(10**6), 10**6).map(str),
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = GOOD
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(PIECES) + text[min(len(text), start + draw(st.integers(0, 15))) :]
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated")


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(text=mutated())
def test_a_mutated_experiment_is_read_or_refused(folder: Path, text: str) -> None:
    path = folder / "x.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        config.load(str(path))
    except BadInput as refused:
        message = str(refused)
        assert str(path) in message
        assert "pydantic" not in message
        assert all(letter.isprintable() or letter == "\n" for letter in message)
