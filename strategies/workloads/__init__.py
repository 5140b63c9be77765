"""What the guest writes: recorded traces of real programs and seeded synthetic ones."""
