"""NaturalSpeech 2 (Shen et al. 2023): a latent diffusion over EnCodec's latents, led by a spoken prompt."""
