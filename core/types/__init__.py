"""The values that travel between packages: frozen dataclasses of tensors."""

from core.types.batch import ClipBatch
from core.types.gaussians import DynamicGaussians
from core.types.render import RenderOutput
from core.types.tensor_dataclass import HOST, TensorDataclass

__all__ = ["HOST", "ClipBatch", "DynamicGaussians", "RenderOutput", "TensorDataclass"]
