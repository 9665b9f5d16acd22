"""Saving to and loading from a folder or the Hugging Face hub."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from torch import nn

from core.checks import UserError
from core.io.atomic import atomic_path
from core.io.checkpoints import read_tensors
from core.models.config import StreamSplatConfig
from core.models.weights import assign_weights, write_safetensors

ModelT = TypeVar("ModelT", bound="HubModel")


class HubModel(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="streamsplat",
    license="apache-2.0",
):
    """A network that is ``config.json`` and ``model.safetensors``.

    ``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` come from huggingface_hub; loading
    is strict, and names what does not fit.
    """

    config: StreamSplatConfig

    @classmethod
    def from_config(cls, config: StreamSplatConfig) -> HubModel:
        """Build an untrained network."""
        raise NotImplementedError

    def _save_pretrained(self, save_directory: Path) -> None:
        save_model(self, save_directory)

    @classmethod
    def _from_pretrained(
        cls: type[ModelT],
        *,
        model_id: str,
        config: dict[str, Any] | None = None,
        map_location: str = "cpu",
        **hub_options: Any,
    ) -> ModelT:
        if config is None:
            raise UserError(f"{model_id}: no config.json; expected a folder or repository with it.")
        if Path(model_id).is_dir():
            path = Path(model_id) / SAFETENSORS_SINGLE_FILE
        else:
            path = Path(hf_hub_download(model_id, SAFETENSORS_SINGLE_FILE, **hub_options))
        model = cls.from_config(StreamSplatConfig.from_dict(config, f"{model_id}/config.json"))
        assert isinstance(model, cls)
        assign_weights(model, read_tensors(path), str(path))
        return model.to(map_location).eval()


def save_model(model: HubModel, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> None:
    """Write ``config.json`` and ``model.safetensors``, without a model card.

    Args:
        model: A network of stage 1 or a whole one.
        folder: Made if it is not there.
        dtype: Type of the stored parameters; ``torch.float16`` halves the file, and is loaded to
            float32 again.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(model, folder / SAFETENSORS_SINGLE_FILE, dtype=dtype)
    with atomic_path(folder / CONFIG_NAME) as partial:
        partial.write_text(json.dumps(asdict(model.config), indent=2) + "\n", encoding="utf-8")
