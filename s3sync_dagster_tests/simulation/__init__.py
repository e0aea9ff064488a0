"""A small world around the real engine and catalog in which everything may go wrong.

Bucket, queue and Chroma are fakes with faults; batches, listings and intake ticks are workers
that stop at every call to the outside and go on, die or dawdle as a driver says. Nothing in it
depends on real time, threads' whims or chance that is not drawn from the driver.
"""
