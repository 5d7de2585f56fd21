"""The web page and the HTTP API: one warm service behind both, on FastAPI."""
