"""Write a scene in a format of other programs; ``--help`` lists the options."""

from __future__ import annotations

if __name__ == "__main__":
    import core.early_interrupt  # noqa: F401 (before the imports that take seconds)

from configs.options_export import ExportProgramOptions
from core.checks import cli_errors
from core.command_line import parse
from core.logging import configure_logging, get_logger

_logger = get_logger(__name__)


def run(options: ExportProgramOptions) -> None:
    """Export one scene."""
    # Here, since PyTorch takes seconds: help and wrong options are answered without it.
    from core.outputs.scene_exports import check_format, export_scene
    from core.scene_file import open_scene
    from core.scene_file.hub import find_scene

    check_format(options.format, options.export.spz_version)
    scene = find_scene(options.result)
    output = options.destination(scene)
    with open_scene(scene) as reader:
        if not reader.is_complete:
            _logger.warning("%s is not complete; it is exported as far as it goes.", scene)
        _logger.info("%s: %s", output, export_scene(reader, options.format, output, options.export))


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(ExportProgramOptions)
    configure_logging()
    run(options)


if __name__ == "__main__":
    main()
