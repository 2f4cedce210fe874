"""Torch modules: no RecBole, no configuration."""
