"""The networks of improved-diffusion and guided-diffusion, and their loader."""
