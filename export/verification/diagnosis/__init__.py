"""The first layer that an artifact computes differently."""
