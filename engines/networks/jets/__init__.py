"""Jets (Lim et al. 2022): FastSpeech2 and HiFi-GAN trained together, with an alignment learned on the way."""
