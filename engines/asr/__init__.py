"""Transcription: Whisper through faster-whisper, subtitles, and the encoder's features.

Arrays in, text or arrays out; ``engine`` is what a person runs. Whisper's code and weights are MIT
(OpenAI); so are faster-whisper and CTranslate2.
"""
