"""What a run keeps of a signalling case, fit to leave the lab: masked lines, a capture, and the failure seen again."""
