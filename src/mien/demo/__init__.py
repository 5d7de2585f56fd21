"""``mien demo``: a contact sheet of what the dials do, measured, and a page of it."""
