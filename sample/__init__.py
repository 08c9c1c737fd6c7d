"""The embedded sample: original reviews and a small base, with the scripts that made them."""
