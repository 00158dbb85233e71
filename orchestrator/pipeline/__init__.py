"""The stages: each turns facts and views into new facts, decides without doing anything, and calls no other stage."""
