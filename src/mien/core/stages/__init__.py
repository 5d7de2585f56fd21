"""Work on many samples, cut into tasks that any number of processes and machines can do (`mien.core.stages.stage`)."""
