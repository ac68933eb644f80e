"""What serves: speaks RESP, logs in upstream, relays. Knows no AWS."""
