"""Show a scene in browsers; ``python -m core.viewer --help`` lists the options."""

from __future__ import annotations

if __name__ == "__main__":
    import core.early_interrupt  # noqa: F401 (before the imports that take seconds)

import threading
from pathlib import Path

from configs.options_viewer import ViewerOptions
from core.checks import cli_errors
from core.command_line import parse
from core.logging import configure_logging, get_logger

_logger = get_logger(__name__)


def show_result(path: Path, options: ViewerOptions) -> None:
    """Show a scene file until Ctrl-C."""
    # Here, since PyTorch takes seconds: help and wrong options are answered without it.
    from core.scene_file import open_scene
    from core.viewer.feed import RecordedFeed
    from core.viewer.parts import find_parts
    from core.viewer.server import ViewerServer

    with open_scene(path) as reader:
        _ = reader.window  # refuses a file without an interval
        feed = RecordedFeed(reader, find_parts(path))
        with ViewerServer(feed, options.host, options.port) as server:
            _logger.info("%s shows %s until Ctrl-C.", server.address, path)
            threading.Event().wait()


def show_source(options: ViewerOptions) -> None:
    """Reconstruct a source and show it until Ctrl-C."""
    from core.depth.motion import MotionDepth
    from core.depth.source import choose_depth
    from core.devices import choose_device
    from core.io.frames import open_frames
    from core.io.stills.size_limit import allow_megapixels
    from core.io.streams.paced import PacedSource
    from core.io.streams.stream import StreamSource
    from core.models import load_model
    from core.models.fast.acceleration import FastModel
    from core.streaming import Session
    from core.streaming.reconstruct import ClipReconstructor, choose_fit
    from core.text import source_name
    from core.viewer.feed import LiveFeed
    from core.viewer.live import LiveScene, warm_up
    from core.viewer.server import ViewerServer

    if options.max_megapixels is not None:
        allow_megapixels(options.max_megapixels)
    device = choose_device(options.device)
    source = open_frames(options.source, on_error="skip", other_hosts=options.allow_other_hosts)
    depth = choose_depth(
        options.depth, options.input_depths_path, source, device, Path("checkpoints")
    )
    fov = options.camera_fov or source.field_of_view
    model = load_model(options.resume, dinov2_path=options.dinov2_path).to(device)
    fit = choose_fit(source, (model.config.image_height, model.config.image_width), options.fit)
    acceleration = options.acceleration
    if acceleration == "auto":
        acceleration = "graphs" if device.type == "cuda" else "none"
    session = Session(
        FastModel(model, precision=options.precision, acceleration=acceleration),
        frame_gap=options.frame_gap,
        detect_cuts=options.detect_cuts,
        fit=options.fit,
        motion_depth=MotionDepth(fov=fov) if depth is None else None,
    )
    name = source_name(source.path if source.is_stream else Path(source.path).resolve().name)
    feed = LiveFeed()
    with session, ViewerServer(feed, options.host, options.port) as server:
        warm_up(session, depth, source.peek())
        if isinstance(source, StreamSource) and source.live:
            _logger.info("%s shows %s until Ctrl-C.", server.address, name)
        else:
            source = PacedSource(source)
            _logger.info("%s shows %s, from when it is opened, until Ctrl-C.", server.address, name)
            server.wait_for_viewer()
        LiveScene(name, source, ClipReconstructor(session, depth), fit, feed, server).run()
        threading.Event().wait()


def run(options: ViewerOptions) -> None:
    """Show a result or a source until Ctrl-C or SIGTERM, which are no errors."""
    path = Path(options.source)
    is_result = path.suffix == ".ssplat" or (path / "scene.ssplat").is_file()
    try:
        if is_result:
            from core.scene_file.hub import find_scene

            show_result(find_scene(path), options)
        else:
            show_source(options)
    except KeyboardInterrupt:
        _logger.info("stopped.")


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(ViewerOptions, prog="python -m core.viewer")
    configure_logging()
    run(options)


if __name__ == "__main__":
    main()
