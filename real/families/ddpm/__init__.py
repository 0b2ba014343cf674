"""DDPM's network, as pytorch_diffusion and DDIM store it, and its loader."""
