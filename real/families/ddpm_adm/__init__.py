"""DDPM and guided-diffusion networks and their loaders."""
