"""Which models there are, by name. The module of one is imported when that one is asked for, and PyTorch with it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TypeVar

# By name the module that registers it; a test compares this with what they register.
MODELS = {
    "aman": "mer_models.networks.aman",
    "atn": "mer_models.networks.atn",
    "chance": "mer_models.baselines",
    "dual_atme": "mer_models.networks.dual_atme",
    "dual_inception": "mer_models.networks.dual_inception",
    "hoof_svm": "mer_models.classical",
    "htnet": "mer_models.networks.htnet",
    "htnet_fixed": "mer_models.networks.htnet_fixed",
    "lbp_top_svm": "mer_models.classical",
    "macnn": "mer_models.networks.macnn",
    "majority": "mer_models.baselines",
    "micro_attention": "mer_models.networks.micro_attention",
    "micro_attention_caffe": "mer_models.networks.micro_attention_caffe",
    "off_apexnet": "mer_models.networks.off_apexnet",
    **dict.fromkeys(
        ["off_tanet", "off_tanet_bot", "off_tanet_cbam", "off_tanet_res", "off_tanet_sa"],
        "mer_models.networks.off_tanet",
    ),
    **dict.fromkeys(["rcn_a", "rcn_c", "rcn_f", "rcn_p", "rcn_s", "rcn_w"], "mer_models.networks.rcn"),
    "sssnet": "mer_models.networks.sssnet",
    "ststnet": "mer_models.networks.ststnet",
    "ststnet_table": "mer_models.networks.ststnet_table",
}
EXTRACTORS = {
    "aman_magnifier": "mer_models.networks.magnifier",
    "aman_resnet18": "mer_models.networks.resnet18",
}

Entry = TypeVar("Entry")


class OnDemand(Mapping[str, Entry]):
    """What is registered, and what would be if its module were imported: sorted names, and each entry when asked for.

    Parameters
    ----------
    registered
        What the modules that are imported have registered; others add to it.
    modules
        By name the module that registers it.
    """

    def __init__(self, registered: Mapping[str, Entry], modules: Mapping[str, str]) -> None:
        self._registered, self._modules = registered, modules

    def __getitem__(self, name: str) -> Entry:
        if name not in self._registered and name in self._modules:
            importlib.import_module(self._modules[name])
        return self._registered[name]

    def __contains__(self, name: object) -> bool:
        return name in self._registered or name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._modules, *self._registered}))

    def __len__(self) -> int:
        return len({*self._modules, *self._registered})
