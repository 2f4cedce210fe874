"""What feeds RecBole's evaluator."""
