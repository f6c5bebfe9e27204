"""The kit that every page is made of. Knows no page."""
