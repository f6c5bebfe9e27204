"""Zero-shot voice conversion that runs anywhere: WORLD for the sound, Whisper's encoder for the content.

The idea is that of kNN-VC (M. Baas, B. van Niekerk, H. Kamper, "Voice Conversion With Just Nearest
Neighbors", Interspeech 2023): what is said in a frame of the source is looked up in the frames of the
reference, whose envelopes then replace the source's. There, features of WavLM go into a vocoder; here
WORLD's envelopes are exchanged, so nothing has to be trained. Weights: Whisper base (MIT).
"""
