"""Training: one loop, one objective a stage, presets for every model that ships."""
