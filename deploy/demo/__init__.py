"""The main job on one machine: ``make run``. Everything goes through the same commands and API that a lab uses."""
