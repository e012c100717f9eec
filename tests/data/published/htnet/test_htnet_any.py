"""Whatever is in the sheets and the files' names: a table of clips or a clear refusal."""

import tempfile
from pathlib import Path

from htnet_forms import (
    FORMS,
    make_twins,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_data import schema
from mer_data.problems import BadInput
from mer_data.published import htnet

FEW = make_twins(subjects=1, clips=2)
odd_text = st.text(st.characters(codec="utf-8"), max_size=8)
cells = st.sampled_from(["", ",,,", "..", "/", "0", "3", "sub01", "6", "006", "samm", '"', "\r", "\n", "\0", "é"])


@st.composite
def mutated_text(draw: st.DrawFn, text: str) -> str:
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(cells | odd_text) + text[end:]
    return text


file_names = st.sampled_from([FEW[0].file(), FEW[0].file(""), "..png", "-_.PNG", "6_006_1_2.png"]) | st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12
).map(lambda name: f"{name}.png")


def table_or_refusal(*sources: Path) -> None:
    try:
        imported = htnet.read(sources)
    except BadInput as refusal:
        bad = refusal
    else:
        assert schema.find_problems(imported.clips, "sheet") == []
        assert imported.features[0].arrays.keys() == {clip.id for clip in imported.clips}
        schema.to_table(imported.clips)
        return
    assert bad.problems
    assert all(problem.where and problem.what for problem in bad.problems)
    str(bad).encode()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), form_name=st.sampled_from(["flat", "samples"]))
def test_any_sheet_is_a_table_or_refused(data: st.DataObject, form_name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        FORMS[form_name](root, FEW)
        (sheet,) = root.glob("*.csv")
        sheet.write_bytes(data.draw(mutated_text(sheet.read_text())).encode())
        table_or_refusal(root)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(new=st.lists(file_names, min_size=1, max_size=3), form_name=st.sampled_from(list(FORMS)), data=st.data())
def test_any_file_names_are_a_table_or_refused(new: list[str], form_name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        FORMS[form_name](root, FEW)
        paths = sorted(root.rglob("*.png"))
        for name in new:
            path = data.draw(st.sampled_from(paths))
            if path.exists():
                path.rename(path.with_name(name))
        table_or_refusal(root)
