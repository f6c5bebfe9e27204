"""PicoAudio (Xie et al. 2024): sounds of named events at given times.

``events.py`` is the timeline, ``network.py`` the U-Net, ``pipeline.py`` all parts with their published
files and the sampling, ``training.py`` the features and the loss.
"""
