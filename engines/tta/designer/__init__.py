"""The sound designer: events on a timeline, each made by a physical or spectral model, without a network."""
