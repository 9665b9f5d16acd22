"""Rooms, streets and landscapes: rectangles in space before a pinhole camera, with a depth test."""
