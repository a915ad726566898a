"""What AWS accepts: pure checks of what a request brings."""
