"""What a trained run's answer rests on, told in numbers and drawn."""
