"""What a run came to, for people: claims beside measurements, figures, a page and a model card."""
