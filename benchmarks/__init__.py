"""How fast training is, against the bare matrix products and against other libraries."""
