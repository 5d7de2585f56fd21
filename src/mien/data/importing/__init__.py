"""Datasets from pictures and videos: what files there are, whose they are, what is read in them."""
