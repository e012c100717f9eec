"""Features: named, versioned arrays computed from a clip's frames."""

from mer_data.features import flow as _flow  # noqa: F401 - registers its features
from mer_data.features.spec import FEATURES, FeatureSpec, feature

__all__ = ["FEATURES", "FeatureSpec", "feature"]
