"""Points followed through a stream by the motion of Gaussians."""

from core.tracking.overlay import TrackOverlay
from core.tracking.tracker import Tracker, grid_points, track
from core.tracking.tracks import PointTracks

__all__ = ["PointTracks", "TrackOverlay", "Tracker", "grid_points", "track"]
