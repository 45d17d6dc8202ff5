"""Stores that are damaged in every way there is, and every command upon them."""
