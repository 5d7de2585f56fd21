"""The control benchmark: held-out studio people under other people's expressions and poses, against exact renders."""
