"""Render a scene file at any time, size and camera; ``--help`` lists the options."""

from __future__ import annotations

if __name__ == "__main__":
    import core.early_interrupt  # noqa: F401 (before the imports that take seconds)

from configs.options_render import RenderOptions
from core.checks import cli_errors
from core.command_line import parse
from core.logging import configure_logging, get_logger

_logger = get_logger(__name__)


def run(options: RenderOptions) -> None:
    """Render one scene file."""
    # Here, since PyTorch takes seconds: help and wrong options are answered without it.
    import torch

    from core.devices import choose_device
    from core.outputs.file_names import PLAYER
    from core.outputs.staging import staged_outputs
    from core.outputs.views.scene import SceneView
    from core.outputs.views.scene_pictures import write_pictures, write_videos
    from core.rendering.device import check_rasterizer
    from core.scene_file import open_scene
    from core.scene_file.hub import find_scene
    from core.streaming import StoredScene
    from core.viewer import write_player

    path = find_scene(options.scene)
    if options.html:
        with staged_outputs(options.output_dir) as staging:
            write_player(staging.folder / PLAYER, path)
        _logger.info("%s", options.output_dir / PLAYER)
        return
    device = choose_device(options.device)
    check_rasterizer(options.backend, device)
    with (
        torch.inference_mode(),
        open_scene(path) as reader,
        staged_outputs(options.output_dir) as staging,
    ):
        if not reader.is_complete:
            _logger.warning("%s is not complete; it is rendered as far as it goes.", path)
        scene = StoredScene(reader, device)
        view = SceneView(
            reader.header,
            camera=options.camera,
            size=options.size,
            horizontal_fov_deg=options.fov,
            eye=options.eye,
            backend=options.backend,
        )
        if options.times:
            write_pictures(scene, view, staging.folder, options.times, options.orbit_seconds)
        else:
            write_videos(
                scene,
                view,
                staging.folder,
                fps=options.fps or reader.header.frames_per_second or 24,
                slow=options.slow,
                orbit_seconds=options.orbit_seconds,
            )
    _logger.info("%s", options.output_dir)


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(RenderOptions)
    configure_logging()
    run(options)


if __name__ == "__main__":
    main()
