"""Pictures and videos as files: what is read from them and written into them."""
