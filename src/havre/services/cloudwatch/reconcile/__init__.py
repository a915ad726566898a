"""What CloudWatch does by itself."""
