"""Where a network looks in a picture, to see and to take away: :func:`show` for notebooks, and ``atmnet explore``."""

from atmnet.explore.exploration import Exploration, Explorer
from atmnet.explore.notebook import Shown, show

__all__ = ["Exploration", "Explorer", "Shown", "show"]
