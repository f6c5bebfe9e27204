"""Recipes that train models from scratch, beginning with the data."""
