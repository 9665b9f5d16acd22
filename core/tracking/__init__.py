"""Points followed through a stream by the Gaussians that show them."""

from core.tracking.overlay import TrackOverlay
from core.tracking.tracker import Tracker, grid_points, track
from core.tracking.tracks import Tracks

__all__ = ["TrackOverlay", "Tracker", "Tracks", "grid_points", "track"]
