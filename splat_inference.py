"""Reconstruct a video as dynamic 3D Gaussians; ``--help`` lists the options."""

from __future__ import annotations

if __name__ == "__main__":
    import core.early_interrupt  # noqa: F401 (before the imports that take seconds)

from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path

from configs.options_inference import InferenceOptions
from core.checks import cli_errors
from core.command_line import parse
from core.logging import configure_logging, get_logger
from core.viewer.following import Follow, following

_logger = get_logger(__name__)


def run(options: InferenceOptions) -> None:
    """Reconstruct one clip or stream and write everything that shows it."""
    # First, since its processes import PyTorch meanwhile.
    with following(options.device) if options.html else nullcontext() as follow:
        _reconstruct(options, follow)


def _reconstruct(options: InferenceOptions, follow: Follow | None) -> None:
    # Here, since PyTorch takes seconds: help and wrong options are answered without it.
    from core.devices import choose_device, spare_host_threads, warm_up_gpu

    wait_for_gpu = warm_up_gpu(options.device)  # beside the other imports
    from core.depth.motion import MotionDepth
    from core.depth.source import choose_depth
    from core.io.collisions import refuse_overwriting
    from core.io.frames import open_frames
    from core.io.stills.size_limit import allow_megapixels
    from core.models import files_of_model, load_model
    from core.models.fast.acceleration import FastModel
    from core.outputs.clip_outputs import check_exports, export_outputs, write_outputs
    from core.outputs.file_names import FILES, PAGE, SCENE
    from core.outputs.staging import staged_outputs
    from core.rendering.device import check_rasterizer
    from core.streaming import Session
    from core.streaming.reconstruct import ClipReconstructor, choose_fit
    from core.viewer import write_player

    check_exports(options.outputs)
    inputs = [
        ("--input_frames_path", options.input_frames_path),
        ("--input_depths_path", options.input_depths_path),
        *(("--resume", path) for path in files_of_model(options.resume)),
        ("--dinov2_path", options.dinov2_path),
    ]
    refuse_overwriting(options.output_dir, FILES, inputs)
    if options.max_megapixels is not None:
        allow_megapixels(options.max_megapixels)
    device = choose_device(options.device)
    spare_host_threads(device)
    with ExitStack() as stack:
        source = open_frames(
            options.input_frames_path,
            on_error={"auto": None, "skip": "skip", "stop": "raise"}[options.damaged],
            live={"auto": None, "yes": True, "no": False}[options.live],
            other_hosts=options.allow_other_hosts,
        )
        check_rasterizer(options.backend, device)
        depth = choose_depth(
            options.depth, options.input_depths_path, source, device, Path("checkpoints")
        )
        fov = options.camera_fov or source.field_of_view
        model = load_model(options.resume, dinov2_path=options.dinov2_path).to(device)
        image_size = (model.config.image_height, model.config.image_width)
        options.check_pool(image_size)
        fit = choose_fit(source, image_size, options.fit)
        acceleration = options.acceleration
        if acceleration == "auto":
            acceleration = "graphs" if device.type == "cuda" else "none"
        wait_for_gpu()
        session = Session(
            FastModel(model, precision=options.precision, acceleration=acceleration),
            frame_gap=options.frame_gap,
            batch_size=options.batch_size,
            detect_cuts=options.detect_cuts,
            fit=options.fit,
            motion_depth=MotionDepth(fov=fov) if depth is None else None,
            max_persistent=options.max_persistent,
            lookahead=True,
            backend=options.backend,
        )
        facts = [
            ("Model", Path(options.resume).name),
            ("Device", str(device)),
            ("Networks", f"{options.precision}, acceleration {acceleration}"),
        ]
        stack.enter_context(session)
        staging = stack.enter_context(staged_outputs(options.output_dir))
        reconstructor = ClipReconstructor(session, depth, options.max_frames or None)
        player = None
        if follow is not None:
            player = partial(write_player, device=device, tracks=follow(staging.folder / SCENE))
        write_outputs(reconstructor, source, fit, options.outputs, staging, facts, player)
        if (estimated := session.estimated_fov) is not None:
            _logger.info(
                "camera: an angle of view of %.0f degrees along the longer side, estimated from "
                "its motion; if you know the true one, give it as --camera_fov.",
                estimated,
            )
    _logger.info("%s", options.output_dir / PAGE)
    export_outputs(options.output_dir, options.outputs)


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(InferenceOptions)
    configure_logging()
    run(options)


if __name__ == "__main__":
    main()
