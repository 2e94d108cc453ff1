"""The folder of a run: its settings, records, journals and features on disk."""
