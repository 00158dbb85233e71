"""What a suite is worth: it is run on phones with seeded defects, and each must be found by its requirement."""
