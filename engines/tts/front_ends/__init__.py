"""Text front ends of the Amphion models: text to phonemes to ids.

Functions of text alone, without cards, jobs or weights. ``maskgct`` (also for Metis, Vevo and VevoSing) and
``debatts``, ``symbols`` (VITS, VALL-E), ``lexicon`` (FastSpeech2, Jets, NaturalSpeech2) and ``whisper``
(DualCodec-VALLE) are what engines call; the other modules are the languages. Tables that the models were
trained with lie in ``data/``, each file with its source and licence.

Text that gives no phoneme raises ``StudioError``, a language whose library is not installed ``NotReady``.
"""
