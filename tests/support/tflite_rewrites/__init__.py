"""Small graphs for every rewrite of a TFLite file or SavedModel: some on which it fires, some on which it must not."""
