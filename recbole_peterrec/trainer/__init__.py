"""RecBole trainers: the order of events in training."""
