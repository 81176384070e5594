"""Here so that tests in the folders below can import modules of this one, such as `segmenter`."""
