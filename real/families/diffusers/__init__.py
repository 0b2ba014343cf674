"""Folders of diffusers pipelines."""
