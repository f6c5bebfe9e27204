"""What the studio does: jobs, batches, presets, scores, evaluations."""
