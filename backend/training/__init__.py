"""How the built-in model was made: procedural scenes, an autoencoder and a denoiser trained on them from nothing."""
