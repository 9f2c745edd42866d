"""One Keras model family a file; families.py holds the table of them."""
