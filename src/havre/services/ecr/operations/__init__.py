"""One module per noun; each gives its operations for the facilities that it is handed."""
