"""Images to vectors at the speed of the hardware: loader, replicas, shards."""
