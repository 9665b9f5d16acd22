"""Frame rates that can be written; imported without FFmpeg's libraries, for ``--help``."""

MIN_FPS, MAX_FPS = 0.01, 1000
"""1/s."""
