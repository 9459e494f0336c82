"""What other libraries make of a revealed credential. Each module needs its library only when it is used."""
