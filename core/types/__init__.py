"""The values that travel between packages: frozen dataclasses of tensors that know how to move."""

from core.types.batch import ClipBatch
from core.types.gaussians import DynamicGaussians
from core.types.render import RenderOutput

__all__ = ["ClipBatch", "DynamicGaussians", "RenderOutput"]
