"""What a face recogniser and a landmark finder say about filled faces."""
