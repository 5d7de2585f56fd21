"""Timing side by side: ours, the formula as written, and the peers of stock diffusers."""
