"""Recorder of sessions: every message of every stream, as it was received."""
