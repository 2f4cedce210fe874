"""Several processes of one run: who they are, what they exchange, how they are started."""
