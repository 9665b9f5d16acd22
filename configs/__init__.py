"""Command-line options of the programs."""
