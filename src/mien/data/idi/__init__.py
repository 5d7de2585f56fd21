"""ID-irrelevant data iteration (EmojiDiff): pairs of pictures that share the expression and nothing of the person."""
