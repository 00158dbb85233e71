"""What runs on a lab host: finds devices, drives them, measures, delivers. Command ``assay-agent``."""
