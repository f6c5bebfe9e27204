"""Evaluation: what a person does with the metrics, on one sound, a pair, or many systems at once.

``evaluation`` is the facade that the Evaluation tab, the endpoints and the tests talk to; ``command``
does the same from a shell, without a data folder. The measures themselves are in ``engines.metrics``.
"""
