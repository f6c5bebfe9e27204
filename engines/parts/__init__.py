"""What engines of several families share: published parts, references, conversion window by window.

Modules here know the networks and the contract, no family and no page. They import torch inside their
functions, so that creating an engine stays cheap.
"""
