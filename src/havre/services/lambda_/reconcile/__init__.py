"""What Lambda does by itself."""
