"""What other settings would gain and cost, tried on a sample that is kept apart."""
