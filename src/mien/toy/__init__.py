"""``mien toy``: a landmark branch learns from nothing on the frozen embedded base, and one can watch."""
