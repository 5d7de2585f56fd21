"""Face networks of other groups: loaded from the assets registry, never shipped."""
