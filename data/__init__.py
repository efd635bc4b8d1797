"""Images in: catalogue of data sets, readers, one decode policy, splits and frozen evaluation lists, audit."""
