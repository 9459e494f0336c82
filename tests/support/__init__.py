"""What tests share: real daemons, real clients, processes of other users."""
