"""The literature as data: BibTeX entries, and which of them belong to which dataset, model and method."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

DATASETS: Mapping[str, str] = {
    "casme": "yan2013casme",
    "casme2": "yan2014casme2",
    "casme_sq": "qu2018casmesq",
    "casme3a": "li2022casme3",
    "casme3c": "li2022casme3",
    "samm": "davison2018samm",
    "samm_lv": "yap2020sammlv",
    **dict.fromkeys(("smic", "smic_vis", "smic_nir", "smic_e", "smic_e_vis", "smic_e_nir"), "li2013smic"),
    "mmew": "ben2022mmew",
    "4dme": "li2022fourdme",
    "dfme": "zhao2023dfme",
}
LISTS: Mapping[str, str] = {"megc2019": "see2019megc", "casmes": "zhang2021offtanet"}
_MODELS: Mapping[str, str] = {
    "aman": "wei2022aman",
    "atn": "peng2019atn",
    "dual_atme": "zhou2023dualatme",
    "dual_inception": "zhou2019dualinception",
    "hoof_svm": "chaudhry2009hoof",
    "htnet": "wang2024htnet",
    "lbp_top_svm": "zhao2007lbptop",
    "macnn": "lai2020macnn",
    "micro_attention": "wang2020microattention",
    "off_apexnet": "gan2019offapexnet",
    "off_tanet": "zhang2021offtanet",
    "rcn": "xia2020rcn",
    "sssnet": "varanka2021sssnet",
    "ststnet": "liong2019ststnet",
}


def of_model(name: str) -> str | None:
    """The key of a model's paper; variants are cited by the paper of what they vary."""
    found = [stem for stem in _MODELS if name == stem or name.startswith(f"{stem}_")]
    return _MODELS[max(found, key=len)] if found else None


@cache
def entries() -> Mapping[str, str]:
    """Every BibTeX entry by its key."""
    text = (resources.files(__package__ or "") / "references.bib").read_text(encoding="utf-8")
    found = {}
    for entry in re.split(r"\n\n(?=@)", text.strip()):
        key = re.match(r"@\w+\{([^,]+),", entry)
        if key is None:
            raise ValueError(f"an entry without a key: {entry[:40]}")
        found[key[1]] = entry
    return found


def bibtex(keys: Iterable[str]) -> str:
    """Entries as BibTeX text, in the order of their keys."""
    return "\n\n".join(entries()[key] for key in sorted(set(keys))) + "\n"


def short(key: str) -> str:
    """An entry as a sentence cites it: ``Liong et al., 2019``."""
    entry = entries()[key]
    authors = _field(entry, "author").split(" and ")
    first = authors[0].split(",")[0].replace('{\\"a}', "ä")
    second = authors[1].split(",")[0] if len(authors) == 2 else ""
    who = first if len(authors) == 1 else f"{first} and {second}" if second not in ("", "others") else f"{first} et al."
    return f"{who}, {_field(entry, 'year')}"


def _field(entry: str, name: str) -> str:
    found = re.search(rf"^  {name} = \{{(.*)\}},?$", entry, re.MULTILINE)
    return found[1] if found else ""
