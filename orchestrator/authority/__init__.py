"""What people of the programme decide: the review of a judged submission, and what prevents a decision. Pure."""
