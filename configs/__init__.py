"""Option presets of the command-line programs."""
