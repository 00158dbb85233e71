"""A virtual USB headset: Audio 1.0 and HID telephony, as a USB/IP server that Linux takes for a real device.

``device`` is the headset (descriptors, mixer, keys, lamps, acoustics, defects) and knows no network; ``server`` is
the USB/IP transport and knows no headset. It shares no code with the instruments that look at it.
"""
