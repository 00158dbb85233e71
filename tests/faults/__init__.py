"""The real product, as real processes, under real faults: kills, stops, full disks, jumped clocks, outages."""
