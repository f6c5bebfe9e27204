"""VevoSing, or Vevo 1.5 (Zhang et al. 2025): singing and speech with their melody under control."""
