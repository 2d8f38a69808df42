"""What benches/compare and benches/profile share: start a proxy alone, load it, count its CPU,
judge it.
"""
