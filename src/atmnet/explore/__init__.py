"""Where a network looks in a picture, to see and to take away: ``atmnet explore``, and ``show`` for notebooks."""

from atmnet.explore.exploration import Exploration, Explorer

__all__ = ["Exploration", "Explorer"]
