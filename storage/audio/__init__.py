"""Sound files: encoding, what is embedded in them, the audio folder."""
