"""Resamples, intervals, and scores of models that can be compared."""
