"""What a run keeps on disk: checkpoints, the lock, and how a run resumes."""
