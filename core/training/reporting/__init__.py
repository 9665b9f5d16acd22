"""What a run reports: log, tracker, pictures, validation."""
