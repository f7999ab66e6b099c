"""The instances: their table, the details of one, starting and stopping, layouts."""
