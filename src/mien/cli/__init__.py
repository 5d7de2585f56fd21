"""The command line: one file per command, each thin over a library function."""
