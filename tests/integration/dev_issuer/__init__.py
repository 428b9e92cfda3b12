"""The development issuer over real sockets."""
