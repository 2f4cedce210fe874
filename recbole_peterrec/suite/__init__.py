"""Several models with several seeds: what to run, running it, significance, report."""
