"""What things cost, measured: run by hand, and asserted nowhere."""
