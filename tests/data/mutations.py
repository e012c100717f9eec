"""Texts spoiled at random: whatever comes in, an importer gives valid clips or a clear refusal."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from mer_data import schema
from mer_data.imported import Imported
from mer_data.problems import BadInput

_PIECES = st.sampled_from(["", ",", " ", "..", "/", "\\", "-", "0", "9", "006", '"', "\r", "\n", "\0", "é", "٣"])
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def mutated(draw: st.DrawFn, text: str) -> bytes:
    """The text as bytes, with one to four pieces of it replaced, and perhaps cut in the middle of a letter."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(_PIECES | _TEXTS) + text[end:]
    data = text.encode()
    return data[: len(data) - draw(st.sampled_from([0, 0, 0, 1, 5]))]


def valid_or_refused(read: Callable[[], Imported]) -> None:
    try:
        imported = read()
    except BadInput as refusal:
        bad = refusal
    else:
        # What the reader lets pass, the check of the clip table refuses in words; either is fine.
        schema.find_problems(imported.clips, "list")
        schema.to_table(imported.clips)
        for feature in imported.features:
            assert feature.arrays.keys() == {clip.id for clip in imported.clips}
        return
    assert bad.problems
    assert all(problem.where and problem.what for problem in bad.problems)
    str(bad).encode()
