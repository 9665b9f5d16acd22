"""Scenes from places where the input camera never was, and pictures of them."""
