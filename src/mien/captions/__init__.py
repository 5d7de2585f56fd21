"""Words for what is seen in a portrait, and what words mean."""
