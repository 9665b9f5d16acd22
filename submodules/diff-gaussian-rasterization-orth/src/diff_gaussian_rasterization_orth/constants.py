"""The numbers that define the image; every backend takes them from here."""

NEAR_INVERSE_DEPTH = 10.0
"""1 / depth where the normalised inverse depth is 1."""
FAR_INVERSE_DEPTH = 0.2
"""1 / depth where the normalised inverse depth is 0."""
INVERSE_DEPTH_EPS = 1e-6
"""Added to the inverse depth before it is inverted."""
COVARIANCE_BLUR = 0.3
"""Added to both variances of the projected Gaussian, square pixels."""
EXTENT_SIGMAS = 3.0
"""Half side of the square that a Gaussian may touch, in deviations of its larger axis."""
ALPHA_MIN = 1.0 / 255.0
"""Contributions below it are skipped."""
ALPHA_MAX = 0.99
"""Contributions are clamped to it; a clamped one passes no gradient to its opacity and shape."""
TRANSMITTANCE_MIN = 1e-4
"""Blending stops before the contribution that would bring transmittance below it."""
