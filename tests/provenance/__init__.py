"""Runs of which it is known where each piece of the output came in, and what blame says of them."""
