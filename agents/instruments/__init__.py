"""What measures: SIP, RTP, audio, and the bench's own stalls. One instrument a file; none of them says pass or fail."""
