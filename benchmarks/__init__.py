"""Measurements that back the project's claims: accuracy of the codec, and speed with a yardstick in the same run."""
