"""Structural schemas of custom resources: defaulting, pruning, validation, and their types for managed fields."""

from sampan.api.structural.defaulting import apply_defaults, drop_nulls
from sampan.api.structural.listtypes import check_lists
from sampan.api.structural.pruning import prune
from sampan.api.structural.schema import Structural
from sampan.api.structural.typing import resource_type
from sampan.api.structural.validation import validate

__all__ = ["Structural", "apply_defaults", "check_lists", "drop_nulls", "prune", "resource_type", "validate"]
