"""A card's recipe: the files that say what to run, checked, and figures as cards report them."""
