"""What falls due while any gputui is there, and the record of how instances lived."""
