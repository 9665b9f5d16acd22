"""Put weights or a scene file on the Hugging Face hub: ``python -m tools.push WHAT owner/name``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from core.checks import cli_errors
from core.command_line import parse
from core.logging import configure_logging, get_logger

_logger = get_logger(__name__)


@dataclass(frozen=True)
class PushOptions:
    """Put weights or a scene on the Hugging Face hub, with your rights there (hf auth login)."""

    what: tyro.conf.Positional[Path]
    """A folder with config.json and model.safetensors, which becomes a model; a scene file
    (.ssplat) or the folder of a result, which becomes a dataset."""
    repository: tyro.conf.Positional[str]
    """Its id, owner/name; it is made if it is not there."""
    private: bool = False
    """Whether a repository that is made is hidden from others."""


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(PushOptions, prog="python -m tools.push")
    configure_logging()
    # Here, since PyTorch takes seconds: help and wrong options are answered without it.
    from core.models import push_model
    from core.scene_file.hub import SCENE_NAME, find_scene, push_scene

    is_scene = options.what.is_file() or (options.what / SCENE_NAME).is_file()
    if is_scene:
        address = push_scene(find_scene(options.what), options.repository, private=options.private)
    else:
        address = push_model(options.what, options.repository, private=options.private)
    _logger.info("%s", address)


if __name__ == "__main__":
    main()
