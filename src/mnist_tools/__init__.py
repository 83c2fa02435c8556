"""Commands on finished notebooks and on the stored study; the notebooks import nothing of it."""
