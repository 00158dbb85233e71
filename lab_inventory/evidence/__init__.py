"""What is made of the evidence of a signalling case: its lines, its ladder, its reproduction pack. Pure.

Both sides need it: the server draws ladders and exports packs, an agent reads packs and draws what it reproduced.
"""
