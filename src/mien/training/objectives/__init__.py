"""One objective a stage."""
