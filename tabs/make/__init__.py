"""Where clips are made: a page for each family, on one layout."""
