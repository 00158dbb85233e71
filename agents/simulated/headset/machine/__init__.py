"""A small virtual machine whose kernel takes the virtual headset for a real one: build, start, run a program in it."""
