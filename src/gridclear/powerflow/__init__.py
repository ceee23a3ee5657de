"""The batch power flow: scenarios, automatic devices, the base state and the search along rays."""
