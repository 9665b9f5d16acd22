"""What takes the rendered frames of a clip, and writes videos, scores, Gaussians or the scene."""
