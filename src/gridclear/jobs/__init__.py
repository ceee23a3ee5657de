"""What a session is asked to do: the power flow of a case and the lights of its bids."""
