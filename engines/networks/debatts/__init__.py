"""DebaTTS: Mandarin speech in a speaker's voice, as an answer to what an opponent said.

``network.py`` writes semantic tokens, ``pipeline.py`` joins it with MaskGCT's tokeniser, acoustic stage
and codec.
"""
