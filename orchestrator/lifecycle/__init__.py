"""The machines of the lab, one file each: states, the facts that move them, and which moves there are. Pure.

A fact is something that was decided or seen, in the past tense. Stages make facts, the store commits them; the store
asks the machine before it writes, so that a fact that no longer fits is refused and nothing of its group is kept.
"""
