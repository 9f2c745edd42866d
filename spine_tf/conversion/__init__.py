"""From a plan to shards on disk: one shard, the engines, the finished directory. No TensorFlow."""
