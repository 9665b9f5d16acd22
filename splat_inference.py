"""Reconstruct a video as dynamic 3D Gaussians; ``--help`` lists the options."""

from __future__ import annotations

if __name__ == "__main__":
    import core.early_interrupt  # noqa: F401 (before the imports that take seconds)

from pathlib import Path

from configs.options_inference import InferenceOptions
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.depth.source import open_depth
from core.devices import choose_device
from core.io import FrameSource, open_frames
from core.logging import configure_logging, get_logger
from core.models import load_model
from core.outputs import outputs
from core.outputs.frame_metrics import Role
from core.outputs.staging import staged_outputs
from core.rendering.device import check_rasterizer
from core.streaming import FastModel, largest_pool
from core.streaming.reconstruct import Reconstruction, choose_fit
from core.viewer import Page, ScoreRow, Video, write_page

_logger = get_logger(__name__)


def run(options: InferenceOptions) -> None:
    """Reconstruct one clip or stream and write everything that shows it."""
    device = choose_device(options.device)
    source = open_source(options)
    check_rasterizer(options.backend, device)
    depth = open_depth(options.input_depths_path, source, device, Path("checkpoints"))
    model = load_model(options.resume, dinov2_path=options.dinov2_path).to(device)
    check_pool(options.max_persistent, (model.config.image_height, model.config.image_width))
    fit = choose_fit(source, (model.config.image_height, model.config.image_width), options.fit)
    acceleration = options.acceleration
    if acceleration == "auto":
        acceleration = "graphs" if device.type == "cuda" else "none"
    reconstruction = Reconstruction(
        FastModel(model, precision=options.precision, acceleration=acceleration),
        depth,
        device,
        options.frame_gap,
        options.batch_size,
        options.backend,
        detect_cuts=options.detect_cuts,
        max_persistent=options.max_persistent,
        max_frames=options.max_frames or None,
    )
    what = outputs.OutputOptions(
        options.fps, options.ply_time, options.orbit_frames, options.horizontal_fov_deg
    )
    with staged_outputs(options.output_dir) as staging:
        summary = outputs.write_outputs(reconstruction, source, fit, what, staging)
        facts = [
            ("Model", Path(options.resume).name),
            ("Device", str(device)),
            ("Networks", f"{options.precision}, acceleration {acceleration}"),
            ("Depth", depth.description),
            ("Frame size", f"{fit.input_size[1]} by {fit.input_size[0]} px"),
            ("Fit", f"{options.fit} to {fit.model_size[1]} by {fit.model_size[0]} px"),
            *summary.facts(),
            *losses(source),
        ]
        page = describe(options, summary, facts)
        write_page(staging.folder / "index.html", page)
    _logger.info("%s", options.output_dir / "index.html")


def open_source(options: InferenceOptions) -> FrameSource:
    """Open what the frames come from."""
    path = options.input_frames_path
    is_folder = Path(path).is_dir()
    stops = options.damaged == "stop" or (options.damaged == "auto" and is_folder)
    live = None if options.live == "auto" else options.live == "yes"
    return open_frames(path, on_error="raise" if stops else "skip", live=live)


def check_pool(max_persistent: int, image_size: tuple[int, int]) -> None:
    """Refuse a pool of more Gaussians than a model of this image size has a use for."""
    most = largest_pool(image_size)
    if max_persistent > most:
        raise UserError(
            f"--max_persistent is {max_persistent}; expected at most {most} with this model, four "
            "for each pixel of its picture."
        )


def losses(source: FrameSource) -> list[tuple[str, str]]:
    """Say which frames were not reconstructed, if any, in labels and values for a person."""
    facts = []
    if source.skipped:
        facts.append(("Skipped", f"{source.skipped} frames that could not be decoded"))
    if source.dropped:
        facts.append(("Dropped", f"{source.dropped} frames that came faster than the model works"))
    return facts


def describe(
    options: InferenceOptions, summary: outputs.Summary, facts: list[tuple[str, str]]
) -> Page:
    """Say what the page shows."""
    videos = [
        Video(outputs.RENDERED, "Reconstruction", "Key frames and all frames in between."),
        Video(outputs.DEPTH, "Depth", "Normalised inverse depth; bright is near."),
    ]
    if options.orbit_frames:
        caption = "The scene as time goes on, from a camera that circles the input viewpoint."
        videos.append(Video(outputs.ORBIT, "Novel views", caption))
    scores: list[ScoreRow] = []
    labels: list[tuple[str, Role | None]] = [
        ("given (key frames)", "given"),
        ("middle (in between)", "middle"),
        ("all", None),
    ]
    for label, role in labels:
        mean = summary.metrics.mean(role)
        if mean is not None:
            native, published = (
                (score.psnr, score.ssim) for score in (mean.native, mean.published)
            )
            scores.append(ScoreRow(label, mean.frames, native, published))
    scene = summary.scene
    return Page(
        title=title(options.input_frames_path),
        preview=outputs.OVERVIEW,
        lead=Video(
            outputs.SIDE_BY_SIDE, "Input and reconstruction", "Input left, reconstruction right."
        ),
        videos=videos,
        plot=outputs.PLOT,
        scores=scores,
        facts=facts,
        scene=outputs.SCENE,
        scene_note=f"{scene.num_gaussians:,} Gaussians as they are at frame {scene.time:g}",
    )


def title(path: str) -> str:
    """Return what the page is called."""
    if Path(path).exists():
        return Path(path).resolve().name
    return "standard input" if path == "-" else path


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(InferenceOptions)
    configure_logging()
    run(options)


if __name__ == "__main__":
    main()
