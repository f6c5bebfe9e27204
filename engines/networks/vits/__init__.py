"""VITS (Kim et al. 2021): text to speech with a conditional variational autoencoder, a flow and a GAN."""
