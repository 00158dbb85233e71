"""The level of the tone that a phone hears, and ITU-T G.711, written here for the phone. Pure."""

LEVEL_DBFS = -20.0


def mu_law(sample: int) -> int:
    """One sample of 16 bit as G.711 mu-law."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | (magnitude >> exponent + 3) & 0x0F) & 0xFF


def a_law(sample: int) -> int:
    """One sample of 16 bit as G.711 A-law."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(sample if sample >= 0 else ~sample, 32767) >> 4
    exponent = max(magnitude.bit_length() - 4, 0)
    mantissa = (magnitude >> max(exponent - 1, 0)) & 0x0F
    return (sign | min(exponent, 7) << 4 | mantissa) ^ 0x55
