"""Published models as pure torch modules: configuration, network, losses, and nothing else.

A folder is one model or one family of them; ``blocks`` holds the parts that several share. Nothing
here knows a card, a job or the studio. ``weights.py`` reads published files and puts them into a
module, where a missing, unexpected or misshapen key is an error that names it.
"""
