"""Networks of score_sde_pytorch and their loader."""
