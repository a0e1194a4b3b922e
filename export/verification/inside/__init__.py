"""A look inside of an artifact, where its outputs do not show everything."""
