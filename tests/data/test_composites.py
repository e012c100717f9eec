"""Published lists, and unions that must not hold a person twice."""

from collections import Counter

import pytest

from mer_data.composites import LISTS, published, refuse_same_people, select
from mer_data.problems import BadInput
from mer_data.schema import Clip

COUNTS = {
    "megc2019": (442, 68, {"negative": 250, "positive": 109, "surprise": 83}),
    "casmes": (294, 49, {"negative": 194, "positive": 48, "surprise": 52}),
}


def clip(clip_id: str, emotion: str = "negative") -> Clip:
    dataset, person, name = clip_id.split("/")
    return Clip(dataset, f"{dataset}/{person}", name, emotion)


@pytest.mark.parametrize("name", LISTS)
def test_lists_have_their_published_counts(name: str) -> None:
    clips, subjects, classes = COUNTS[name]
    entries = published(name)
    assert len(entries) == clips
    assert len({clip_id.rsplit("/", 1)[0] for clip_id in entries}) == subjects
    assert Counter(entries.values()) == classes


def test_the_list_says_which_clips_and_which_classes() -> None:
    """SAMM 006_5_9 is surprise in the official list; a list in circulation has it exchanged with 006_5_11."""
    here = [clip("samm/006/006_5_9"), clip("samm/006/006_5_11"), clip("samm/006/006_9_9")]
    selection = select("megc2019", here, "dataset x")
    assert {one.name: label for one, label in selection.labelled} == {"006_5_9": "surprise", "006_5_11": "negative"}
    assert (len(selection.missing), selection.planned) == (440, 442)


def test_a_list_without_any_of_its_clips_is_refused() -> None:
    with pytest.raises(BadInput, match="none of the 442 clips"):
        select("megc2019", [clip("dfme/sub0001/sub0001_01")], "dataset x")
    with pytest.raises(BadInput, match="did you mean 'megc2019'"):
        select("megc19", [], "dataset x")


@pytest.mark.parametrize(
    "pair", [("smic", "smic_vis"), ("smic", "smic_e"), ("samm", "samm_lv"), ("smic_nir", "smic_vis")]
)
def test_the_same_people_are_not_taken_twice(pair: tuple[str, str]) -> None:
    with pytest.raises(BadInput, match=f"{pair[0]} and {pair[1]} show the same people"):
        refuse_same_people([clip(f"{dataset}/s01/a") for dataset in pair], "dataset x")
    refuse_same_people([clip("casme2/sub01/a"), clip("casme/sub01/a")], "dataset x")
