"""The studio itself: home, models, jobs, help."""
