"""What a reconstructed clip leaves on disk: videos, pictures, scene, scores, and their page."""
