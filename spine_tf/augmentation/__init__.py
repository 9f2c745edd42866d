"""Random changes of images, and pictures of them."""
