"""Scores of recordings: asked for while a run goes on, computed by Ray away from senders, joined with the case.

    procedure ── recordings ──> run ── ask files ──> agent ── HTTP ──> server ── its Ray driver ──> a node that scores
    case ended <── joined ────── run <── answer files ─ agent <────────────────────┘

A score is a pure function of files under content addresses: whatever dies on the way, it is asked for again. Its one
effect, the end of the case, goes through the run's spool like every other.
"""
