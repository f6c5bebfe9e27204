"""Restoration: noise removal, separation into stems, levels, silence.

Arrays in, arrays out; what a person runs is in ``engines`` and ``editing``. Sounds are float32, ``(T,)``
or ``(C, T)``, of any length: each function works through long ones in bounded memory and tells a
``progress`` callback how far it is, which may raise to stop.
"""
