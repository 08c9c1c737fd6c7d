"""A card's recipe: what params.yaml asks for, checked, and figures as cards report them."""
