"""Rules over readings of GPUs, instances and the rig: inactive, pending, firing."""
