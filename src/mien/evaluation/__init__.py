"""Measuring: metrics, protocols, reports."""
