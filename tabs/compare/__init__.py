"""Clips beside one another."""
