"""Datasets, samplers and loaders on top of RecBole's."""
