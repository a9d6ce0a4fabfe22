"""The images of the workers: locks, the wheels that go in, building them, and trying them for real."""
