"""Every metric of one run, its protocol, and the floor that real images set."""
