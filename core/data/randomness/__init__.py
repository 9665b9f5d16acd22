"""Random numbers and fields that depend on the seed and the scene alone."""
