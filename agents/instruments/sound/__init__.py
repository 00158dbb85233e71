"""What a recording of speech says about the path it took: pure functions over arrays, one measurement a file.

Sound is a one-dimensional ``float64`` array with full scale 1.0; its sampling rate goes beside it in Hz. Levels are in
dBov (ITU-T G.100.1): 10 log10 of the mean square, so that a square wave of full scale has 0 dBov and a sine of full
scale -3.01 dBov. That is the same scale as the dBFS of ``agents.instruments.audio``. In G.711, 0 dBov is 6.18 dBm0
(µ-law) or 6.15 dBm0 (A-law).
"""
