"""USB and HID descriptors of a headset, read strictly: bytes in, typed data and a list of problems out. Pure.

``raw`` cuts, ``standard`` reads chapter 9 of USB 2.0, ``audio`` the audio class, ``report_descriptor`` and ``reports``
HID; ``headset_rules`` says what they show of a headset. Nothing here opens a device.
"""
