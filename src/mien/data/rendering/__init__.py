"""Rendering data sets of studio portraits into shards."""
