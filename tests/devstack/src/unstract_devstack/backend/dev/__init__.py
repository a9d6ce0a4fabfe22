"""The dev API: setting up objects, starting runs, and looking at what happened. Not part of the platform's contract."""
