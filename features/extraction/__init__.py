"""Images to features: loader, replicas of the network, shards."""
