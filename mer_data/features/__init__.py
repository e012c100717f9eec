"""Features: named, versioned arrays computed from a clip's frames."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mer_data.features import spec
from mer_data.features.spec import FeatureSpec, feature

if TYPE_CHECKING:
    from mer_data.features.spec import FEATURES

__all__ = ["FEATURES", "FeatureSpec", "feature"]

# Each of these modules registers its features.
_REGISTER = ("hoof", "lbp_top", "magnification", "maps", "pictures", "points", "regions")


def __getattr__(name: str) -> Mapping[str, FeatureSpec]:
    """``FEATURES``, when somebody asks for it: what computes them imports OpenCV, which a look at results need not."""
    if name != "FEATURES":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    for module in _REGISTER:
        importlib.import_module(f"{__name__}.{module}")
    globals()["FEATURES"] = spec.FEATURES
    return spec.FEATURES
