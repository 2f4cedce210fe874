"""Several models with several seeds: experiments, significance, report."""
