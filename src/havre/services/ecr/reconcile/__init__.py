"""What ECR does by itself."""
