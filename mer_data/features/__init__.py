"""Features: named, versioned arrays computed from a clip's frames."""

# Each of these modules registers its features.
from mer_data.features import hoof as _hoof  # noqa: F401
from mer_data.features import lbp_top as _lbp_top  # noqa: F401
from mer_data.features import magnification as _magnification  # noqa: F401
from mer_data.features import maps as _maps  # noqa: F401
from mer_data.features import pictures as _pictures  # noqa: F401
from mer_data.features import points as _points  # noqa: F401
from mer_data.features import regions as _regions  # noqa: F401
from mer_data.features.spec import FEATURES, FeatureSpec, feature

__all__ = ["FEATURES", "FeatureSpec", "feature"]
