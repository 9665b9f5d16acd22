"""Scenes in the formats of other programs."""
