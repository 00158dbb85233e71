"""A sound card at a phone's handset socket, as the bench wants it (docs/how-to/audio-port.md)."""
