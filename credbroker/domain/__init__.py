"""What is true and what is allowed: rules without a clock, a file, a socket or a log.

Everything here is a plain value or a pure function, so a reviewer can read it in an hour and a
test can run it ten thousand times a second. Nothing here knows another room.
"""
