"""The space, the sampler, the race, the loop, the verdict."""
