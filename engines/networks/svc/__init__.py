"""Singing voice conversion to one of a closed set of singers: four networks over the same conditions."""
