"""Programs that stand in as devices on a machine without any, attached as real ones are; and what makes them faulty."""
