"""Kinds of runs, and the stages that they are made of."""
