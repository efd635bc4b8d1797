"""From a source to a prepared data set: check, choose, split, draw the evaluation lists, write, audit."""
