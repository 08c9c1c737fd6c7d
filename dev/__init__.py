"""Tools of this project's developers: benchmarks, fault injection, and the study."""
