"""What people sign: the evidence, who may sign it, and the permit that follows."""
