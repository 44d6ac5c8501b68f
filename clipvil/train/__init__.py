"""Training: recipes as values, one visible loop, checkpoints that go on bit for bit."""
