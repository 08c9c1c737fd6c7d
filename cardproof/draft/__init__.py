"""Drafting a card's file from a published model card: its text in, cards/<name>.yaml out."""
