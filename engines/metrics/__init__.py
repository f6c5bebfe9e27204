"""Metrics: what each measures is a card, how is a function, and what does not apply says why.

``registry`` lists them, ``evaluate`` runs them on one case, ``sets`` on folders; ``distribution``
compares whole sets. Nothing here knows of a page, a job or the store.
"""
