"""How much of something there is to be: target tracking and schedules. Pure."""
