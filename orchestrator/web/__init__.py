"""The pages: rendered here, brought up to date by server-sent events and one small module; all works without it."""
