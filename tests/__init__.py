"""Tests of recbole_peterrec."""
